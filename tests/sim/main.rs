//! Whole networks on virtual time. `QUICAP_SEEDS` says how many seeds each test tries (default 10; full: 100).

mod ends;
mod flood;
mod hardship;
mod links;
mod malice;
mod members;
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
    let seeds = match std::env::var("QUICAP_SEEDS").as_deref() {
        Ok("full") => 100,
        Ok(number) => number.parse().expect("QUICAP_SEEDS is a number or full"),
        Err(_) => 10,
    };
    for seed in 1..=seeds {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        if let Err(panic) = result {
            eprintln!("failed with seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
