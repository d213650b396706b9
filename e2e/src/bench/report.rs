//! The figures, as rows of a Markdown table; and their place in the document.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::instance::Memory;
use crate::load::{Load, Probe};
use crate::pages::PageTime;
use crate::{Measure, median};

const FIGURES: (&str, &str) = ("<!-- figures: `cargo xtask bench` writes them -->\n", "<!-- end of the figures -->\n");
const SCALE: (&str, &str) =
    ("<!-- figures of scale: `cargo xtask bench --scale` writes them -->\n", "<!-- end of the figures of scale -->\n");

/// Rows that are kept from the document when they were not measured again.
const COLD_BUILD: &str = "Build from nothing, `cargo build`";
const TESTS: &str = "All tests, `cargo xtask test`";

pub struct Report {
    rows: Vec<String>,
    machine: String,
    write: Option<PathBuf>,
    /// The lines around them in the document.
    place: (&'static str, &'static str),
}

impl Report {
    pub fn new(args: &Measure) -> Result<Self> {
        let old = match &args.write {
            Some(path) if path.exists() => std::fs::read_to_string(path)?,
            _ => String::new(),
        };
        let mut report = Self { rows: vec![], machine: machine()?, write: args.write.clone(), place: FIGURES };
        for (name, seconds) in [(COLD_BUILD, args.cold_build_seconds), (TESTS, args.test_seconds)] {
            match seconds {
                Some(seconds) => report.row(name, &format!("{} min {} s", seconds / 60, seconds % 60), ""),
                None => {
                    report.rows.extend(old.lines().find(|l| l.starts_with(&format!("| {name}"))).map(str::to_owned))
                }
            }
        }
        Ok(report)
    }

    /// Of a large database and a small one: a sentence on what is in them.
    pub fn of_scale(write: Option<PathBuf>, what: &str) -> Result<Self> {
        Ok(Self { rows: vec![], machine: format!("{} {what}", machine()?), write, place: SCALE })
    }

    fn row(&mut self, what: &str, measured: &str, budget: &str) {
        self.rows.push(format!("| {what} | {measured} | {budget} |"));
        eprintln!("{what}: {measured}");
    }

    pub fn start_to_ready(&mut self, milliseconds: f64) {
        let budget = against(milliseconds, "≤ 150 ms", milliseconds <= 150.0);
        self.row("Start to ready on a migrated database", &format!("{milliseconds:.0} ms"), &budget);
    }

    pub fn idle_memory(&mut self, memory: &Memory) {
        let budget = against(memory.resident, "≤ 40 MB", memory.resident <= 40.0);
        self.row("Idle memory, both services and the demo app in one process", &text(memory), &budget);
    }

    pub fn memory_after(&mut self, memory: &Memory) {
        self.row("Memory right after the load", &text(memory), "");
    }

    pub fn tokens(&mut self, rounds: &[(Load, Load)]) {
        self.compared("client_credentials tokens/s", "a bare handler", "µs", 1.0, 0.80, rounds);
    }

    pub fn lookups(&mut self, rounds: &[(Load, Load)]) {
        self.compared("Authenticated cached look-ups/s", "a bare JSON handler", "µs", 1.0, 0.70, rounds);
    }

    /// One endpoint on the large database and on the small one, in turns.
    pub fn scale(&mut self, endpoint: &str, rounds: &[(Probe, Probe)]) {
        let of = |pick: fn(&(Probe, Probe)) -> f64| median(rounds.iter().map(pick).collect());
        let ratio = of(|(large, small)| large.p99 / small.p99);
        let measured = format!(
            "**{ratio:.2}×**: p99 {:.2} ms beside {:.2} ms (p50 {:.2} ms beside {:.2} ms)",
            of(|(large, _)| large.p99),
            of(|(_, small)| small.p99),
            of(|(large, _)| large.p50),
            of(|(_, small)| small.p50),
        );
        self.row(endpoint, &measured, &against(ratio, "p99 ≤ 2×", ratio <= 2.0));
    }

    pub fn code_flows(&mut self, rounds: &[Load]) {
        let rate = median(rounds.iter().map(|load| load.rate).collect());
        let cpu = median(rounds.iter().map(|load| load.cpu).collect());
        let measured = format!(
            "{rate:.0}/s on SQLite: request, code, token response with an RS256 ID token; processor time each {cpu:.0} µs"
        );
        self.row("Full code flows/s", &measured, "");
    }

    /// Each page for itself, the slowest first.
    pub fn pages(&mut self, pages: &[PageTime]) {
        let mut pages: Vec<_> = pages.iter().collect();
        pages.sort_by(|a, b| b.probe.p50.total_cmp(&a.probe.p50));
        for PageTime { name, probe, cpu } in pages {
            let budget = against(probe.p50, "≤ 2 ms", probe.p50 <= 2.0 && *cpu <= 2000.0);
            let measured = format!("{:.2} ms (p99 {:.2} ms); processor time {cpu:.0} µs", probe.p50, probe.p99);
            self.row(&format!("Page: {name}"), &measured, &budget);
        }
    }

    pub fn passwords(&mut self, rounds: &[(Load, Load)]) {
        self.compared("Password logins/s", "raw argon2id", "ms", 1000.0, 0.90, rounds);
    }

    fn compared(&mut self, what: &str, other: &str, unit: &str, scale: f64, least: f64, rounds: &[(Load, Load)]) {
        let of = |pick: fn(&(Load, Load)) -> f64| median(rounds.iter().map(pick).collect());
        let ratio = of(|(ours, theirs)| ours.rate / theirs.rate);
        let (ours, theirs) = (of(|(ours, _)| ours.rate), of(|(_, theirs)| theirs.rate));
        let (cpu, their_cpu) = (of(|(ours, _)| ours.cpu) / scale, of(|(_, theirs)| theirs.cpu) / scale);
        let digits = if cpu < 100.0 { 1 } else { 0 };
        let measured = format!(
            "**{ratio:.2}** of {other}: {ours:.0}/s beside {theirs:.0}/s; \
             processor time each {cpu:.digits$} {unit} beside {their_cpu:.digits$} {unit}"
        );
        self.row(what, &measured, &against(ratio, &format!("≥ {least:.2}"), ratio >= least));
    }

    pub fn storm(&mut self, rounds: &[(Probe, Probe)]) {
        let of = |pick: fn(&(Probe, Probe)) -> f64| median(rounds.iter().map(pick).collect());
        let ratio = of(|(idle, storm)| storm.p99 / idle.p99);
        let measured = format!(
            "**{ratio:.1}×** idle: p99 {:.2} ms beside {:.2} ms (p50 {:.2} ms beside {:.2} ms)",
            of(|(_, storm)| storm.p99),
            of(|(idle, _)| idle.p99),
            of(|(_, storm)| storm.p50),
            of(|(idle, _)| idle.p50),
        );
        self.row("`GET /oauth/jwks` during a login storm", &measured, &against(ratio, "p99 ≤ 5×", ratio <= 5.0));
    }

    /// Prints the table, and puts it where the document has it.
    pub fn finish(self) -> Result<()> {
        let rows = self.rows.join("\n");
        let table = format!("{}\n\n| What | Measured | Budget |\n|---|---|---|\n{rows}\n", self.machine);
        println!("\n{table}");
        if let Some(path) = &self.write {
            let old = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let missing = || format!("{} has no place for the figures", path.display());
            let (begin, end) = self.place;
            let (before, rest) = old.split_once(begin).with_context(missing)?;
            let (_, after) = rest.split_once(end).with_context(missing)?;
            std::fs::write(path, format!("{before}{begin}\n{table}\n{end}{after}"))?;
        }
        Ok(())
    }
}

fn against(measured: f64, budget: &str, held: bool) -> String {
    format!("{budget}{}", if held || measured.is_nan() { "" } else { " – **missed**" })
}

fn text(memory: &Memory) -> String {
    format!(
        "{:.1} MB resident ({:.1} MB proportional; {:.1} MB of it its own data, the rest the program's text)",
        memory.resident, memory.proportional, memory.anonymous
    )
}

/// One sentence on what was measured, where and when.
fn machine() -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let cpuinfo = read("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let load = read("/proc/loadavg")?;
    Ok(format!(
        "{} cores ({}), Linux {}, release {}, load average when it began {}.",
        std::thread::available_parallelism()?,
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease")?.trim(),
        env!("CARGO_PKG_VERSION"),
        load.split(' ').next().unwrap_or_default(),
    ))
}
