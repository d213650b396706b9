//! What is printed once everything answers: where to go from here.

use std::io::IsTerminal;

use shared::config::Config;

use crate::run;

/// Prints the links.
#[expect(clippy::print_stdout, reason = "the links are for whoever typed `cargo run`")]
pub fn print(config: &Config) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print!("{}", text(config, colours));
}

fn text(config: &Config, colours: bool) -> String {
    let paint = |code: &str, text: &str| if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let bold = |text: &str| paint("1", text);
    let dim = |text: &str| paint("2", text);
    let auth = config.auth.public_url.as_str();
    let api = config.api.public_url.as_str();

    let mails = match &config.smtp.url {
        Some(_) => ("by smtp.url".to_owned(), "".to_owned()),
        None => (config.data_dir.join("mail").display().to_string(), "as .eml files, no server needed".to_owned()),
    };
    let links = [
        ("Sign up", format!("{auth}/signup"), "start here".to_owned()),
        ("Demo app", config.demo_url(), "signs you in, shows your code and your referrals".to_owned()),
        ("Referral API", format!("{api}/docs"), "try it in the browser: press Authorize".to_owned()),
        ("Accounts, OAuth", format!("{auth}/docs"), "also /redoc, /openapi.json and discovery".to_owned()),
        ("Mails go to", mails.0, mails.1),
    ];
    let width = links.iter().map(|(_, link, _)| link.chars().count()).max().unwrap_or_default();

    let mut lines = vec![
        String::new(),
        format!("  {} {}", bold("Referris is running"), dim(&format!("on {}", store(config)))),
        String::new(),
    ];
    for (name, link, note) in links {
        // Padded before they are painted: the codes have no width on the screen.
        let link = format!("{link:width$}");
        lines.push(format!("  {name:<16} {}  {}", paint("36", &link), dim(&note)).trim_end().to_owned());
    }
    lines.extend([
        String::new(),
        format!("  {}", dim("A sign-up and a token with curl:")),
        format!("  curl {auth}/api/v1/signup -H 'Content-Type: application/json' \\"),
        r#"    -d '{"email": "ann@example.com", "password": "correct horse battery staple"}'"#.to_owned(),
        format!("  curl {auth}/oauth/token -d grant_type=password -d client_id=demo-cli \\"),
        "    -d username=ann@example.com --data-urlencode 'password=correct horse battery staple'".to_owned(),
        String::new(),
    ]);
    for mismatch in run::mismatches(config) {
        lines.push(format!("  {} {mismatch}; without a proxy between them, sign-in will not work", bold("Note:")));
        lines.push(String::new());
    }
    lines.push(format!("  {}", dim("Ctrl-C stops it.")));
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn store(config: &Config) -> String {
    let database = if config.database_url().starts_with("sqlite:") { "SQLite" } else { "PostgreSQL" };
    let cache = match (&config.redis.url, database) {
        (Some(_), _) => "Redis",
        (None, "SQLite") => "an in-process cache",
        (None, _) => "no cache",
    };
    format!("{database} and {cache}, data in {}", config.data_dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_follow_the_configuration_and_no_secret_is_printed() {
        let set = [
            ("REFERRIS__AUTH__PUBLIC_URL", "http://127.0.0.1:9080"),
            ("REFERRIS__AUTH__LISTEN", "127.0.0.1:9080"),
            ("DATABASE_URL", "postgres://ann:hunter2@localhost/x"),
        ];
        let config =
            shared::config::load_from(None, set.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let text = text(&config, false);
        assert!(text.contains("http://127.0.0.1:9080/signup") && text.contains("http://127.0.0.1:8082 "), "{text}");
        assert!(text.contains("PostgreSQL and no cache") && !text.contains("hunter2"), "{text}");
        assert!(!text.contains("Note:") && !text.contains('\x1b'), "{text}");
    }
}
