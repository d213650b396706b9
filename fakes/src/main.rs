//! `cargo run -p fakes`: the stand-ins by hand. Prints the settings that make Referris use them.

use std::io::Write;
use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;

/// Local stand-ins for Hunter, Clearbit, Have I Been Pwned and a mail server.
#[derive(Parser)]
struct Options {
    /// Where Hunter's and Clearbit's stand-ins listen.
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Where the mail server's stand-in listens.
    #[arg(long, default_value = "127.0.0.1:2525")]
    smtp: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let fakes = fakes::start(TcpListener::bind(options.listen).await?)?;
    let catcher = fakes::smtp::start(TcpListener::bind(options.smtp).await?, |mail| {
        let _ = writeln!(std::io::stdout(), "--- mail to {}\n{}", mail.to.join(", "), mail.text);
    })?;
    let mut out = std::io::stdout();
    writeln!(out, "Start Referris with these variables (leave out what you do not want to try):\n")?;
    writeln!(out, "  export HUNTER_API_KEY=fake REFERRIS__VERIFICATION__BASE_URL={}", fakes.hunter())?;
    writeln!(out, "  export CLEARBIT_API_KEY=sk_fake_0123456789 REFERRIS__ENRICHMENT__BASE_URL={}", fakes.clearbit())?;
    writeln!(out, "  export REFERRIS__ENRICHMENT__WEBHOOK_SECRET=sk_fake_0123456789   # take its webhooks")?;
    writeln!(out, "  export REFERRIS__BREACHED_PASSWORDS__URL={}", fakes.pwned())?;
    writeln!(out, "  export SMTP_URL={}", catcher.url())?;
    writeln!(out, "  export REFERRIS__VERIFICATION__INLINE=true   # ask during sign-up and refuse at once\n")?;
    writeln!(out, "Then sign up as one of these; the part before the @ decides, a +tag is ignored:\n")?;
    for case in fakes::cases::CASES {
        writeln!(out, "  {:<28} {}", format!("{}@example.com", case.name), case.meaning)?;
    }
    writeln!(out, "\nPasswords that were lost: {}", fakes::pwned::LOST.join("; "))?;
    writeln!(out, "\nWhat was asked so far: http://{}/. Mails appear here. Ctrl-C stops.\n", options.listen)?;
    tokio::select! {
        () = fakes.run() => anyhow::bail!("the server stopped"),
        ctrl_c = tokio::signal::ctrl_c() => Ok(ctrl_c?),
    }
}
