//! `[programme]`: the rules of the referral programme.

use std::collections::HashSet;

use serde::Deserialize;

use super::keys::Programme;

/// What has a verified referral qualify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualifyOn {
    /// Somebody says so.
    Call,
    /// Nothing more.
    Verified,
}

/// Whom a rule credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who invited.
    Referrer,
    /// Who was invited.
    Referral,
}

impl Side {
    /// As in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Referrer => "referrer",
            Self::Referral => "referral",
        }
    }
}

/// A rule by which something is credited for a referral.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardRule {
    /// Its name in the ledger.
    pub name: String,
    pub to: Side,
    /// Three capital letters (ISO 4217), or a name of the programme's own, such as `POINTS`.
    pub currency: String,
    /// In the smallest unit of the currency.
    pub amount: i64,
    /// The first of a referrer's rewarded referrals that it is for, counted from 1.
    #[serde(default = "first")]
    pub from: i64,
    /// The last.
    #[serde(default)]
    pub up_to: Option<i64>,
    /// How much it credits one person in all.
    #[serde(default)]
    pub cap: Option<i64>,
}

fn first() -> i64 {
    1
}

impl RewardRule {
    /// Is it for the `nth` rewarded referral of a referrer?
    pub fn covers(&self, nth: i64) -> bool {
        nth >= self.from && self.up_to.is_none_or(|last| nth <= last)
    }
}

/// More than this is a mistake, and sums of it stay far from the end of the numbers.
const LARGEST: i64 = 1_000_000_000_000;

/// What is wrong with the rules.
pub(super) fn check(programme: &Programme, wrong: &mut impl FnMut(&str, String)) {
    const KEY: &str = "programme.rewards";
    let mut names = HashSet::new();
    for rule in &programme.rewards {
        let name = &rule.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=40).contains(&name.len()) || !name.chars().all(plain) {
            wrong(KEY, format!("the name {name:?} must be a few lower-case letters, digits and hyphens"));
        }
        if !names.insert(name) {
            wrong(KEY, format!("two rules have the name {name}"));
        }
        let unit = &rule.currency;
        if !(3..=12).contains(&unit.len()) || !unit.chars().all(|c| c.is_ascii_uppercase()) {
            wrong(KEY, format!("the currency {unit:?} of {name} must be 3 to 12 capital letters, such as EUR"));
        }
        if !(1..=LARGEST).contains(&rule.amount) {
            wrong(KEY, format!("the amount of {name} must be a number from 1 to {LARGEST}, in the smallest unit"));
        }
        if rule.from < 1 || rule.up_to.is_some_and(|last| last < rule.from) {
            wrong(KEY, format!("{name} is for no referral: from counts from 1, and up_to is not before it"));
        }
        if rule.cap.is_some_and(|cap| !(1..=LARGEST).contains(&cap)) {
            wrong(KEY, format!("the cap of {name} must be a number from 1 to {LARGEST}"));
        }
    }
    for (key, days) in
        [("hold_days", programme.hold_days), ("lapse_days", programme.lapse_days), ("trace_days", programme.trace_days)]
    {
        if days > 3650 {
            wrong(&format!("programme.{key}"), "must be 3650 days at most".into());
        }
    }
}
