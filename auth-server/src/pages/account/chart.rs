//! Sign-ups by month, as a picture drawn here and as a table: who can't see the one reads the other.

use askama::Template;
use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::Account;
use crate::pages::samples::{Samples, moment};
use crate::pages::texts::Texts;

/// How many months are shown.
const MONTHS: i32 = 12;

/// The height of the highest bar, and the width of a month.
const HEIGHT: u64 = 96;
const STEP: u64 = 30;

/// Rendered into a page as `{{ chart|safe }}`: its own template escapes what it holds.
#[derive(Template)]
#[template(path = "pages/account/chart.html")]
pub struct Chart {
    t: Texts,
    bars: Vec<Bar>,
    total: u64,
}

struct Bar {
    /// `Jan`, below the bar.
    short: String,
    /// `January 2026`, in the table.
    month: String,
    count: u64,
    x: u64,
    height: u64,
}

impl Bar {
    fn y(&self) -> u64 {
        HEIGHT + 18 - self.height
    }
}

/// The first moment that the picture shows.
pub fn since(now: DateTime<Utc>) -> DateTime<Utc> {
    let (year, month) = month_before(now, MONTHS - 1);
    NaiveDate::from_ymd_opt(year, month, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).map_or(now, |at| at.and_utc())
}

/// Year and month that lie `back` months before.
fn month_before(now: DateTime<Utc>, back: i32) -> (i32, u32) {
    let months = now.year() * 12 + now.month0().cast_signed() - back;
    (months.div_euclid(12), months.rem_euclid(12).unsigned_abs() + 1)
}

impl Chart {
    pub fn new(t: Texts, now: DateTime<Utc>, moments: &[DateTime<Utc>]) -> Self {
        let months: Vec<(i32, u32)> = (0..MONTHS).rev().map(|back| month_before(now, back)).collect();
        let counts: Vec<u64> = months
            .iter()
            .map(|month| moments.iter().filter(|at| (at.year(), at.month()) == *month).count() as u64)
            .collect();
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        let bars = months.iter().zip(&counts).zip(0u64..).map(|((&(year, month), &count), i)| Bar {
            short: t.month("account-month-short", year, month),
            month: t.month("account-month", year, month),
            count,
            x: i * STEP,
            // What is there can be seen, however small beside the rest.
            height: if count == 0 { 2 } else { (count * HEIGHT / most).max(4) },
        });
        Self { t, bars: bars.collect(), total: counts.iter().sum() }
    }
}

/// With made-up data.
pub fn samples(account: &Account, into: &mut Samples) {
    let month = chrono::TimeDelta::days(30);
    let moments = [moment(), moment() - month, moment() - month * 2];
    into.part("chart", || Chart::new(account.page.t(), moment(), &moments));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locales::Locale;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn each_sign_up_counts_in_its_month_and_the_year_before_is_over() {
        let now = at("2026-02-10T12:00:00Z");
        assert_eq!(since(now), at("2025-03-01T00:00:00Z"));
        let moments = ["2026-02-01T00:00:00Z", "2026-02-09T00:00:00Z", "2025-03-31T23:59:59Z", "2025-02-28T00:00:00Z"];
        let chart = Chart::new(Texts(Locale::En), now, &moments.map(at));
        let counts: Vec<u64> = chart.bars.iter().map(|bar| bar.count).collect();
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(chart.total, 3);
        assert_eq!(chart.bars[11].height, HEIGHT);
        let html = chart.render().unwrap();
        assert!(html.contains("March 2025") && html.contains("February 2026") && !html.contains("style"), "{html}");
    }
}
