//! The cases that the stand-ins can answer, and how an address chooses one.

/// A documented answer.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What the address's local part (or its domain's first label) says to get it.
    pub name: &'static str,
    /// The status of Hunter's email verifier.
    pub verifier: u16,
    /// The status of the combined enrichment, Hunter's and Clearbit's.
    pub combined: u16,
    /// What it stands for.
    pub meaning: &'static str,
}

const fn case(name: &'static str, verifier: u16, combined: u16, meaning: &'static str) -> Case {
    Case { name, verifier, combined, meaning }
}

/// Every case, in the order in which it is printed.
pub const CASES: &[Case] = &[
    case("valid", 200, 200, "verifier: valid; enrichment: a person and a company. The answer to any other address too"),
    case("invalid", 200, 200, "verifier: invalid"),
    case("accept_all", 200, 200, "verifier: accept_all (the domain takes mail for any address)"),
    case("webmail", 200, 200, "verifier: webmail"),
    case("disposable", 200, 200, "verifier: disposable"),
    case("unknown", 200, 200, "verifier: unknown"),
    case("queued", 202, 202, "twice still in progress (Clearbit: 202 without a body), then the ordinary answer"),
    case("queued-error", 202, 202, "the same; Clearbit's 202 carries {\"error\": {\"type\": \"queued\"}}"),
    case("queued-partial", 202, 202, "the same; Clearbit's 202 carries the person and no company yet"),
    case("queued-later", 202, 202, "the same; each 202 says Retry-After: 120"),
    case("queued-forever", 202, 202, "always still in progress"),
    case("smtp-failed", 222, 200, "verifier: 222, the mail server of the address answered strangely"),
    case("nobody", 200, 404, "enrichment: nobody is known by this address"),
    case("person-only", 200, 200, "enrichment: a person without a company"),
    case("claimed", 451, 451, "451: the person asked the service not to process their data"),
    case("hook", 200, 202, "Clearbit: 202 whenever it is asked; a webhook brings a person and a company"),
    case("hook-nobody", 200, 202, "the same; the webhook says 404"),
    case("hook-claimed", 200, 202, "the same; the webhook says 451"),
    case("hook-later", 200, 202, "the same; the webhook says 202, and no other comes"),
    case("hook-parts", 200, 202, "202 once, then the ordinary answer; two webhooks, of the types person and company"),
    case("hook-forged", 200, 202, "the same as hook, signed with another key"),
    case("last-one", 200, 200, "the ordinary answer, and that it was the last one for 30 seconds (Clearbit)"),
    case("status-400", 400, 400, "400: the request is wrong"),
    case("status-401", 401, 401, "401: the key is wrong"),
    case("status-402", 402, 402, "402: the plan is used up (Clearbit)"),
    case("status-403", 403, 403, "403: too many requests a second or minute (Hunter)"),
    case("status-404", 404, 404, "404"),
    case("status-422", 422, 422, "422: the address is not one (Clearbit)"),
    case(
        "status-429",
        429,
        429,
        "429 with Retry-After: the month's requests (Hunter) or the minute's (Clearbit) are used up",
    ),
    case("month-over", 429, 429, "429 without Retry-After; Clearbit names the end of its minute"),
    case("status-451", 451, 451, "the same as claimed"),
    case("status-500", 500, 500, "500"),
    case("status-503", 503, 503, "503 with Retry-After"),
    case("slow", 200, 200, "the ordinary answer after 20 seconds"),
    case("garbage", 200, 200, "200 with a body that is no JSON"),
    case("huge", 200, 200, "200 with a body of a megabyte"),
    case("nul", 200, 200, "200 with U+0000 in its texts, which PostgreSQL can't store"),
];

/// The case that `email` asks for: by its local part up to a `+`, else by its domain's first label, else `valid`.
pub fn of(email: &str) -> Case {
    let email = email.to_lowercase();
    let (local, domain) = email.rsplit_once('@').unwrap_or((&email, ""));
    let local = local.split('+').next().unwrap_or_default();
    let label = domain.split('.').next().unwrap_or_default();
    let named = |name: &str| CASES.iter().find(|case| case.name == name.replace("accept-all", "accept_all"));
    *named(local).or_else(|| named(label)).unwrap_or(&CASES[0])
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn an_address_chooses_by_its_local_part_then_by_its_domain() {
        assert_eq!(of("Disposable+7@example.com").name, "disposable");
        assert_eq!(of("ann@status-429.example").name, "status-429");
        assert_eq!(of("invalid@status-429.example").name, "invalid");
        assert_eq!(of("ann@accept-all.example").name, "accept_all");
        assert_eq!(of("ann@example.com").name, "valid");
        assert_eq!(of("").name, "valid");
    }
}
