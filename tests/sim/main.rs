//! Whole networks on virtual time. `QUICAP_SEEDS` says how many seeds each test tries (default 10; full: 100). Tests that need
//! another number name it for `full`, and with a number they try so many of a hundred of it.

mod ends;
mod flood;
mod hardship;
mod links;
mod malice;
mod members;
mod mesh;
mod moving;
mod reload;
mod rogue;
mod scale;
mod status;
mod talk;
mod time;
mod topology;
mod turns;
mod world;

/// Runs a test once for each seed and names the one that failed.
fn for_seeds(test: impl Fn(u64)) {
    run_seeds(percent(), test);
}

/// The same with that many seeds for `full`, a tenth of them by default, and never more.
fn for_seeds_of(full: u64, test: impl Fn(u64)) {
    run_seeds((full * percent()).div_ceil(100).min(full), test);
}

fn percent() -> u64 {
    match std::env::var("QUICAP_SEEDS").as_deref() {
        Ok("full") => 100,
        Ok(number) => number.parse().expect("QUICAP_SEEDS is a number or full"),
        Err(_) => 10,
    }
}

/// So many seeds, or the single one that `QUICAP_SEED` names.
fn run_seeds(number: u64, test: impl Fn(u64)) {
    let single = std::env::var("QUICAP_SEED").ok().map(|seed| seed.parse().expect("QUICAP_SEED is a number"));
    for seed in single.map_or(1..=number, |seed| seed..=seed) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        if let Err(panic) = result {
            eprintln!("failed with seed {seed} (QUICAP_SEED={seed} tries it alone)");
            std::panic::resume_unwind(panic);
        }
    }
}
