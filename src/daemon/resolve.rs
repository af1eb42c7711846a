//! Names to addresses, off the event loop: the system's resolver waits, so it waits on threads of its own.
//!
//! Up to [`AT_ONCE`] names are looked up side by side, so one slow name holds nobody. Caches nothing: who asks again
//! and how soon is for `link`.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use smol::channel::Sender;

/// Names looked up at the same time, a thread each.
const AT_ONCE: usize = 8;
/// Names that wait for a thread. Full: the answer is an error at once.
const QUEUE: usize = 64;

/// Addresses of a name, or in words why there are none.
pub type Answer = Result<Vec<IpAddr>, String>;

type LookUp = fn(&str) -> io::Result<Vec<IpAddr>>;

/// `T` comes back with the answer and says which question it was.
pub struct Resolver<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    answers: Sender<(T, Answer)>,
    look_up: LookUp,
}

struct State<T> {
    waiting: VecDeque<(T, String)>,
    threads: usize,
}

impl<T: Send + 'static> Resolver<T> {
    /// Answers go to `answers`; when it is full, lookups wait for room in it.
    pub fn new(answers: Sender<(T, Answer)>) -> Self {
        Self::with(system, answers)
    }

    fn with(look_up: LookUp, answers: Sender<(T, Answer)>) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), threads: 0 });
        Self(Arc::new(Shared { state, answers, look_up }))
    }

    /// Begins to look `host` up. Never waits.
    pub fn resolve(&self, token: T, host: &str) {
        let mut state = self.0.lock();
        if state.waiting.len() >= QUEUE {
            let refusal = Err(format!("{QUEUE} names are waiting to be looked up"));
            let _ = self.0.answers.try_send((token, refusal));
            return;
        }
        state.waiting.push_back((token, host.to_owned()));
        if state.threads < AT_ONCE {
            state.threads += 1;
            let shared = self.0.clone();
            smol::unblock(move || shared.work()).detach();
        }
    }
}

impl<T> Shared<T> {
    /// Looks names up until none waits.
    fn work(&self) {
        while let Some((token, host)) = self.take() {
            let answer = (self.look_up)(&host).map_err(|error| in_words(&error));
            // Fails only when nobody listens any more.
            let _ = self.answers.send_blocking((token, answer));
        }
    }

    /// The next name; `None`: this thread is done.
    fn take(&self) -> Option<(T, String)> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.threads -= 1;
        }
        next
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the system says: `/etc/hosts` and the name servers.
fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() { Err(io::Error::other("Name does not resolve")) } else { Ok(addresses) }
}

/// The system's words for the same thing differ between C libraries; std hands them on without their number.
fn in_words(error: &io::Error) -> String {
    const NOT_FOUND: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    const NO_ANSWER: [&str; 2] = ["Temporary failure in name resolution", "Try again"];
    let text = error.to_string();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if error.kind() == io::ErrorKind::InvalidInput {
        "not a name".to_owned()
    } else if has(&NOT_FOUND) {
        "name not found".to_owned()
    } else if has(&NO_ANSWER) {
        "no answer from the name server".to_owned()
    } else {
        let reason = text.rsplit("address information: ").next().unwrap_or(&text);
        format!("name cannot be looked up: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::channel;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    #[test]
    fn the_system_knows_localhost_and_addresses_and_nothing_that_is_invalid() {
        let (sender, answers) = channel::bounded(1);
        let resolver = Resolver::new(sender);
        for (token, host) in [(1, "localhost"), (2, "192.0.2.7"), (3, "no\0name"), (4, "quicap.invalid")] {
            resolver.resolve(token, host);
        }
        for _ in 0..4 {
            let (token, answer) = answers.recv_blocking().unwrap();
            match token {
                1 => assert!(answer.unwrap().iter().all(IpAddr::is_loopback)),
                2 => assert_eq!(answer, Ok(vec![Ipv4Addr::new(192, 0, 2, 7).into()])),
                3 => assert_eq!(answer, Err("not a name".into())),
                _ => assert!(matches!(
                    answer.unwrap_err().as_str(),
                    "name not found" | "no answer from the name server"
                )),
            }
        }
    }

    #[test]
    fn one_slow_name_holds_nobody_and_a_full_queue_says_so() {
        fn slow(host: &str) -> io::Result<Vec<IpAddr>> {
            if host == "slow" {
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(vec![])
        }
        let (sender, answers) = channel::unbounded();
        let resolver = Resolver::with(slow, sender);
        let take = |count| (0..count).map(|_| answers.recv_blocking().unwrap()).collect::<Vec<_>>();
        resolver.resolve(0, "slow");
        for token in 1..=20 {
            resolver.resolve(token, "fast");
        }
        let order: Vec<i32> = take(21).into_iter().map(|(token, _)| token).collect();
        assert_eq!(order.last(), Some(&0), "{order:?}");
        let count = AT_ONCE + QUEUE + 5;
        for token in 0..count {
            resolver.resolve(token as i32, "slow");
        }
        let refused = take(count).into_iter().filter(|(_, answer)| answer.is_err()).count();
        assert!((5..=5 + AT_ONCE).contains(&refused), "{refused}");
    }

    #[test]
    fn errors_of_every_c_library_are_said_in_the_same_words() {
        for (system, words) in [
            ("failed to lookup address information: Name or service not known", "name not found"),
            ("failed to lookup address information: Name does not resolve", "name not found"),
            ("failed to lookup address information: Name has no usable address", "name not found"),
            ("failed to lookup address information: Try again", "no answer from the name server"),
            (
                "failed to lookup address information: Temporary failure in name resolution",
                "no answer from the name server",
            ),
            (
                "failed to lookup address information: Out of memory",
                "name cannot be looked up: Out of memory",
            ),
        ] {
            assert_eq!(in_words(&io::Error::other(system)), words);
        }
    }
}
