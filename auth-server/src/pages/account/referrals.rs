//! `/account/referrals`: one's referral code, made, shared and deleted here, and who came by it. The tables and their rules
//! are those of the referral API.

use askama::Template;
use axum::Form;
use axum::extract::Query;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use serde_json::json;
use shared::db::DbError;
use shared::email::Email;
use shared::ids::{CodeId, ReferralId, UserId};
use shared::referrals::clicks::{self, Totals};
use shared::referrals::code::{CodeKey, ReferralCode, VanityError};
use shared::referrals::rewards::{self, Balance};
use shared::referrals::store::{self, CodeRow, MAX_USES, ReferralRow};
use shared::referrals::{deletion, life};
use shared::{Platform, audit, fetch_all, qr};

use super::chart::{self, Chart};
use super::{Account, Section};
use crate::pages::error;
use crate::pages::field::Field;
use crate::pages::layout::{Page, see_other};
use crate::pages::samples::{Samples, moment};
use crate::pages::texts::Texts;

/// Referrals on a page.
const SHOWN: usize = 20;
/// The newest that the picture counts: it costs the same for who invited a million.
const COUNTED: i64 = 5000;
/// How long a new code works unless one says otherwise, in days.
const USUAL: u64 = 90;
/// Of 10^12 codes, drawing a taken one twice means that something else is wrong.
pub(super) const DRAWS: usize = 5;

#[derive(Template)]
#[template(path = "pages/account/referrals.html")]
struct ReferralsPage<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    csrf: String,
    notice: Option<String>,
    alert: Option<String>,
    code: Option<Code>,
    /// The form for a new one, where there is none.
    form: Option<NewForm>,
    chart: Option<Chart>,
    /// What one was credited, in each currency.
    credits: Vec<Credit>,
    referrals: Vec<Referral>,
    first: bool,
    older: Option<ReferralId>,
}

struct Code {
    code: String,
    link: String,
    qr: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    uses: i64,
    max_uses: Option<i64>,
    /// How often the link was followed, and from how many addresses.
    clicks: i64,
    visitors: i64,
    /// Used as often as it may be: others can't sign up with it any more.
    exhausted: bool,
}

/// An amount as people write it.
struct Credit {
    amount: String,
    currency: String,
}

impl Credit {
    fn of(t: Texts, balance: Balance) -> Self {
        let amount = in_units(balance.amount, &balance.currency, &t.get("decimal-mark"));
        Self { amount, currency: balance.currency }
    }
}

/// `12.50` of 1250 cents, with the language's own mark before the cents. What is not a currency of ISO 4217 has no smaller unit: points are points.
fn in_units(amount: i64, currency: &str, mark: &str) -> String {
    // Those of its list of active codes with another number of digits after the point than two.
    let digits = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        unit if unit.len() == 3 => 2,
        _ => 0,
    };
    let (sign, amount, unit) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs(), 10u64.pow(digits));
    match digits {
        0 => format!("{sign}{amount}"),
        _ => format!("{sign}{}{mark}{:0width$}", amount / unit, amount % unit, width = digits as usize),
    }
}

struct NewForm {
    expires: Date,
    code: Field,
    max_uses: Field,
    faults: Vec<(&'static str, String, String)>,
    /// Is there anything in the part that is folded away?
    unfolded: bool,
}

/// A day, within bounds that the browser knows too.
struct Date {
    label: String,
    hint: String,
    value: String,
    min: NaiveDate,
    max: NaiveDate,
    error: Option<String>,
}

struct Referral {
    name: Option<String>,
    email: Option<String>,
    status: String,
    good: bool,
    code: String,
    created_at: DateTime<Utc>,
}

impl Referral {
    /// As much of the person as the API shows.
    fn of(t: Texts, row: ReferralRow) -> Self {
        let name = [row.given_name, row.family_name].into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self {
            name: (!name.is_empty()).then_some(name),
            email: row.email.as_deref().map(Email::masked),
            status: t.get(match row.status.as_str() {
                "verified" => "referral-verified",
                "qualified" => "referral-qualified",
                "rewarded" => "referral-rewarded",
                "rejected" => "referral-rejected",
                "reversed" => "referral-reversed",
                "expired" => "referral-expired",
                _ => "referral-pending",
            }),
            good: matches!(row.status.as_str(), "verified" | "qualified" | "rewarded"),
            code: row.code,
            created_at: row.created_at,
        }
    }
}

/// What was typed for a new code.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct New {
    csrf: String,
    expires: String,
    code: String,
    max_uses: String,
}

/// Why a new code is not made, by field; the text is for the person.
#[derive(Default)]
struct Faults {
    expires: Option<String>,
    code: Option<String>,
    max_uses: Option<String>,
}

impl Faults {
    fn is_empty(&self) -> bool {
        self.expires.is_none() && self.code.is_none() && self.max_uses.is_none()
    }
}

/// What is asked for, checked.
struct Asked {
    expires_at: DateTime<Utc>,
    chosen: Option<ReferralCode>,
    max_uses: Option<i64>,
}

/// The first and the last day that a code may end with.
fn bounds(platform: &Platform) -> (NaiveDate, NaiveDate) {
    let last = store::latest_expiry(platform).date_naive();
    let tomorrow = platform.clock.now().date_naive() + Days::new(1);
    (tomorrow.min(last), last)
}

fn check(t: Texts, platform: &Platform, new: &New) -> Result<Asked, Faults> {
    let mut faults = Faults::default();
    let (min, max) = bounds(platform);
    let day = new.expires.trim().parse::<NaiveDate>().ok().filter(|day| (min..=max).contains(day));
    if day.is_none() {
        faults.expires = Some(
            t.0.text_with("referrals-fault-expires", [("first", t.date(min).into()), ("last", t.date(max).into())]),
        );
    }
    let chosen = Some(new.code.trim()).filter(|code| !code.is_empty()).map(ReferralCode::vanity);
    if let Some(Err(reason)) = &chosen {
        faults.code = Some(t.get(match reason {
            VanityError::Length => "referrals-fault-length",
            VanityError::Alphabet => "referrals-fault-alphabet",
            VanityError::Reserved => "referrals-fault-reserved",
        }));
    }
    let max_uses = match new.max_uses.trim() {
        "" => None,
        text => match text.parse::<i64>().ok().filter(|max| (1..=MAX_USES).contains(max)) {
            Some(max) => Some(max),
            None => {
                faults.max_uses = Some(t.count("referrals-fault-uses", "max", MAX_USES.unsigned_abs()));
                None
            }
        },
    };
    match day {
        Some(day) if faults.is_empty() => {
            // The whole of that day, within what may be.
            let end = day.and_time(NaiveTime::MIN).and_utc() + chrono::TimeDelta::seconds(86_399);
            let expires_at = end.min(store::latest_expiry(platform));
            Ok(Asked { expires_at, chosen: chosen.and_then(Result::ok), max_uses })
        }
        _ => Err(faults),
    }
}

fn new_form(t: Texts, platform: &Platform, new: &New, faults: Faults) -> NewForm {
    let (min, max) = bounds(platform);
    let usual = (platform.clock.now().date_naive() + Days::new(USUAL)).clamp(min, max);
    let value = if new.expires.is_empty() { usual.to_string() } else { new.expires.clone() };
    let expires = Date {
        label: t.get("referrals-expires"),
        hint: t.get("referrals-expires-hint"),
        value,
        min,
        max,
        error: faults.expires,
    };
    let mut code = Field::new("code", "text", "off", t.get("referrals-own")).value(&*new.code);
    code = code.hint(t.get("referrals-own-hint"));
    code.max_length = 64;
    code.error = faults.code;
    let mut max_uses = Field::new("max_uses", "text", "off", t.get("referrals-uses")).value(&*new.max_uses);
    max_uses = max_uses.hint(t.get("referrals-uses-hint"));
    max_uses.max_length = 12;
    max_uses.error = faults.max_uses;
    let summary = [
        ("expires", &expires.label, &expires.error),
        ("code", &code.label, &code.error),
        ("max_uses", &max_uses.label, &max_uses.error),
    ];
    let faults = summary.into_iter().filter_map(|(name, label, error)| Some((name, label.clone(), error.clone()?)));
    let faults = faults.collect();
    let unfolded = [&code, &max_uses].iter().any(|field| !field.value.is_empty() || field.error.is_some());
    NewForm { expires, code, max_uses, faults, unfolded }
}

/// The active code, if it can be shared or has to be deleted before another is made.
fn shown_code(t: Texts, platform: &Platform, row: CodeRow, totals: Totals) -> Option<Code> {
    let status = row.status_at(platform.clock.now());
    if status == "expired" {
        return None;
    }
    let link = platform.config.auth.public_url.join(&format!("/r/{}", row.code));
    let qr = qr::svg(&link, "qr", Some(&t.get("referrals-qr")));
    Some(Code {
        code: row.code,
        link,
        qr,
        created_at: row.created_at,
        expires_at: row.expires_at,
        uses: row.uses,
        max_uses: row.max_uses,
        clicks: totals.clicks,
        visitors: totals.visitors,
        exhausted: status == "exhausted",
    })
}

struct Read {
    code: Option<(CodeRow, Totals)>,
    credits: Vec<Balance>,
    moments: Vec<DateTime<Utc>>,
    referrals: Vec<ReferralRow>,
    older: Option<ReferralId>,
}

async fn read(platform: &Platform, user: UserId, before: Option<ReferralId>) -> Result<Read, DbError> {
    let mut conn = platform.db.read().await?;
    let code = match store::active_of(&mut conn, user).await? {
        Some(row) => {
            let totals = clicks::totals(&mut conn, row.id).await?;
            Some((row, totals))
        }
        None => None,
    };
    let credits = rewards::balances(&mut conn, user).await?;
    let moments = fetch_all!(
        &mut conn,
        (DateTime<Utc>,),
        "SELECT created_at FROM referrals WHERE referrer_id = $1 AND created_at >= $2 ORDER BY created_at DESC LIMIT $3",
        user,
        chart::since(platform.clock.now()),
        COUNTED
    )?;
    let mut referrals = store::referrals_of(&mut conn, user, None, before, SHOWN as i64 + 1).await?;
    let more = referrals.len() > SHOWN;
    referrals.truncate(SHOWN);
    let older = referrals.last().filter(|_| more).map(|row| row.id);
    Ok(Read { code, credits, moments: moments.into_iter().map(|(at,)| at).collect(), referrals, older })
}

/// The page, with what was typed and what is wrong with it.
async fn shown(
    account: &Account,
    status: StatusCode,
    before: Option<ReferralId>,
    new: &New,
    faults: Faults,
    told: (Option<String>, Option<String>),
) -> Response {
    let (page, t) = (&account.page, account.page.t());
    let platform = &page.state().platform;
    let read = match read(platform, account.signed_in.user_id, before).await {
        Ok(read) => read,
        Err(error) => return error::database(page, &error),
    };
    let code = read.code.and_then(|(row, totals)| shown_code(t, platform, row, totals));
    let form = code.is_none().then(|| new_form(t, platform, new, faults));
    let shown = ReferralsPage {
        page,
        t,
        section: Section::Referrals,
        csrf: account.csrf(),
        notice: told.0,
        alert: told.1,
        code,
        form,
        credits: read.credits.into_iter().map(|balance| Credit::of(t, balance)).collect(),
        chart: (!read.moments.is_empty()).then(|| Chart::new(t, platform.clock.now(), &read.moments)),
        referrals: read.referrals.into_iter().map(|row| Referral::of(t, row)).collect(),
        first: before.is_none(),
        older: read.older,
    };
    page.render(status, &shown)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Asking {
    done: String,
    before: String,
}

pub async fn show(account: Account, Query(Asking { done, before }): Query<Asking>) -> Response {
    let done = super::Done { done };
    let known = &[
        ("made", "referrals-done-made"),
        ("deleted", "referrals-done-deleted"),
        ("rotated", "referrals-done-rotated"),
    ];
    let notice = done.notice(account.page.t(), known);
    shown(&account, StatusCode::OK, before.parse().ok(), &New::default(), Faults::default(), (notice, None)).await
}

/// What came of the wish for a code.
enum Made {
    Yes,
    /// Another is active.
    ActiveAlready,
    /// Somebody has or had the one that was chosen.
    Taken,
}

async fn make(account: &Account, asked: &Asked) -> Result<Made, DbError> {
    let platform = &account.page.state().platform;
    for _ in 0..DRAWS {
        let code = asked.chosen.clone().unwrap_or_else(|| ReferralCode::draw(&platform.random));
        match insert(account, &code, asked).await {
            Ok(made) => return Ok(if made { Made::Yes } else { Made::ActiveAlready }),
            Err(DbError::UniqueViolation(_)) if asked.chosen.is_some() => return Ok(Made::Taken),
            Err(DbError::UniqueViolation(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Made::Taken)
}

/// One try in a transaction of its own: a code that is taken ends it.
async fn insert(account: &Account, code: &ReferralCode, asked: &Asked) -> Result<bool, DbError> {
    let (state, user) = (account.page.state(), account.signed_in.user_id);
    let platform = &state.platform;
    let mut tx = platform.db.begin().await?;
    if !account.hold(&mut tx, state).await? {
        return Ok(false);
    }
    let row = store::create(&mut tx, platform, user, code, asked.expires_at, asked.max_uses).await?;
    let Some(row) = row else { return Ok(false) };
    audit::record(&mut tx, platform, "referral_code.created", Some(user), None, json!({ "code_id": row.id })).await?;
    tx.commit().await?;
    Ok(true)
}

pub async fn create(mut account: Account, sent: Result<Form<New>, FormRejection>) -> Response {
    account.page.at("/account/referrals", &[]);
    let (page, t) = (&account.page, account.page.t());
    let Ok(Form(new)) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&new.csrf, Some(&account.signed_in)) {
        return response;
    }
    let platform = &page.state().platform;
    let asked = match check(t, platform, &new) {
        Ok(asked) => asked,
        Err(faults) => {
            return shown(&account, StatusCode::UNPROCESSABLE_ENTITY, None, &new, faults, (None, None)).await;
        }
    };
    match make(&account, &asked).await {
        Ok(Made::Yes) => see_other("/account/referrals?done=made"),
        Ok(Made::ActiveAlready) => {
            let alert = Some(t.get("referrals-active"));
            shown(&account, StatusCode::CONFLICT, None, &new, Faults::default(), (None, alert)).await
        }
        Ok(Made::Taken) => {
            let faults = Faults { code: Some(t.get("referrals-fault-taken")), ..Faults::default() };
            shown(&account, StatusCode::CONFLICT, None, &new, faults, (None, None)).await
        }
        Err(error) => error::database(page, &error),
    }
}

#[derive(Deserialize)]
pub struct Delete {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    code: String,
}

pub async fn delete(mut account: Account, sent: Result<Form<Delete>, FormRejection>) -> Response {
    account.page.at("/account/referrals", &[]);
    let page = &account.page;
    let Ok(Form(Delete { csrf, code })) = sent else { return error::malformed(page) };
    if let Err(response) = page.check_form(&csrf, Some(&account.signed_in)) {
        return response;
    }
    let Some(key) = CodeKey::fold(&code) else { return error::absent(page) };
    let (platform, user) = (&page.state().platform, account.signed_in.user_id);
    let delete = async {
        let mut tx = platform.db.begin().await?;
        if !account.hold(&mut tx, page.state()).await? {
            return Ok(None);
        }
        let Some(row) = store::delete(&mut tx, user, &key, platform.clock.now()).await? else { return Ok(None) };
        let queued_at = deletion::queue(&mut tx, platform, &row).await?;
        let details = json!({ "code_id": row.id });
        audit::record(&mut tx, platform, "referral_code.deleted", Some(user), None, details).await?;
        tx.commit().await?;
        Ok(Some((row, queued_at)))
    };
    match delete.await {
        Ok(Some((row, queued_at))) => {
            if !deletion::settle(platform, &row, queued_at).await {
                deletion::until_noticed().await;
            }
            see_other("/account/referrals?done=deleted")
        }
        Ok(None) => error::absent(page),
        Err(error) => error::database(page, &error),
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let (page, t) = (&account.page, account.page.t());
    let platform = &page.state().platform;
    let shown = |code: Option<Code>, form: Option<NewForm>, referrals: Vec<Referral>| ReferralsPage {
        page,
        t,
        section: Section::Referrals,
        csrf: account.csrf(),
        notice: code.is_some().then(|| t.get("referrals-done-made")),
        alert: None,
        code,
        form,
        chart: Some(Chart::new(t, moment(), &[moment()])),
        credits: [(1250, "EUR"), (30, "POINTS")]
            .map(|(amount, currency)| Credit::of(t, Balance { currency: currency.into(), amount }))
            .into(),
        referrals,
        first: false,
        older: Some(ReferralId(uuid::Uuid::nil())),
    };
    into.page("account-referrals", || {
        let row = CodeRow {
            id: CodeId(uuid::Uuid::nil()),
            referrer_id: account.user.id,
            code: "7K3M9QXZ".into(),
            status: "active".into(),
            created_at: platform.clock.now(),
            expires_at: platform.clock.now() + chrono::TimeDelta::days(30),
            max_uses: Some(10),
            uses: 2,
        };
        let referrals = life::Status::ALL.map(|status| {
            let row = ReferralRow {
                id: ReferralId(uuid::Uuid::nil()),
                status: status.as_str().into(),
                created_at: moment(),
                updated_at: moment(),
                code: "7K3M9QXZ".into(),
                email: Some("ben@example.com".into()),
                given_name: Some("Ben".into()),
                family_name: None,
            };
            Referral::of(t, row)
        });
        let totals = Totals { clicks: 17, visitors: 12, sign_ups: 2 };
        shown(shown_code(t, platform, row, totals), None, referrals.into())
    });
    into.page("account-referrals-none", || {
        let new = New { expires: "yesterday".into(), code: "?".into(), max_uses: "many".into(), ..New::default() };
        let faults = check(t, platform, &new).err().unwrap_or_default();
        shown(None, Some(new_form(t, platform, &new, faults)), vec![])
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_the_units_of_their_currency() {
        for (amount, currency, expected) in [
            (1250, "EUR", "12.50"),
            (5, "EUR", "0.05"),
            (-5, "EUR", "-0.05"),
            (500, "JPY", "500"),
            (1005, "KWD", "1.005"),
            (30, "POINTS", "30"),
            (i64::MIN, "USD", "-92233720368547758.08"),
        ] {
            assert_eq!(in_units(amount, currency, "."), expected, "{amount} {currency}");
            assert_eq!(in_units(amount, currency, ","), expected.replace('.', ","), "{amount} {currency}");
        }
    }
}
