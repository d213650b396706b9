//! The tour of README.md, as a newcomer would type it, against the running program.

use std::process::Stdio;
use std::time::Duration;

use shared::testing::Scratch;
use tokio::process::Command;
use tokio::time::timeout;

use crate::processes::{Standalone, free_ports, root};

async fn the_tour_goes_as_it_should(scratch: Scratch) {
    let running = Standalone::start(&scratch, free_ports()).await;
    for url in [&running.auth_url, &running.api_url, &running.demo_url] {
        assert!(running.banner.contains(url.as_str()), "{url} is not printed:\n{}", running.banner);
    }
    let tour = Command::new("bash")
        .arg(root().join("docs/tour.sh"))
        .env("AUTH", &running.auth_url)
        .env("API", &running.api_url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let tour = timeout(Duration::from_secs(60), tour).await.expect("five minutes of typing take seconds").unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&tour.stdout), String::from_utf8_lossy(&tour.stderr));
    assert!(tour.status.success(), "{}\n{printed}\n{errors}", tour.status);
    assert!(printed.contains("The tour went as it should."), "{printed}");
    assert!(running.terminate().await, "it stops cleanly");
}
on_both_stores_by_program!(the_tour_goes_as_it_should);
