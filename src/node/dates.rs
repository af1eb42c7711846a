//! What the operator should know ahead of time: when our own certificate ends, and which lists are overdue.
//! Every fact is said once. Read first: docs/certificates.md, "Ahead of time".

use crate::pki::date::Day;
use crate::pki::verify::{Member, Trust};

const DAY_S: u32 = 86_400;
const HOUR_S: u32 = 3600;
/// Days ahead at which the end of our own certificate is announced.
const AHEAD: [u32; 3] = [30, 7, 1];

/// Remembers what was said.
#[derive(Default)]
pub struct Dates {
    /// The end of our certificate that was announced last, and at how many days.
    own: Option<(u32, u32)>,
    /// Warnings about our files that still hold. As many as there are certificates and lists in them.
    said: Vec<String>,
    /// When there is more to say, UNIX seconds.
    due: Option<u32>,
}

impl Dates {
    pub fn next_due(&self) -> Option<u32> {
        self.due
    }

    /// What has to be said now, and was not said before.
    pub fn poll(&mut self, unix_s: u32, me: &Member, trust: &Trust) -> Vec<String> {
        let mut lines = Vec::new();
        let stage = stage(unix_s, me.valid_until).map(|days| (me.valid_until, days));
        if stage.is_some() && stage != self.own {
            lines.extend(own_warning(unix_s, me));
        }
        self.own = stage;
        let warnings = trust.warnings(unix_s);
        lines.extend(warnings.iter().filter(|warning| !self.said.contains(warning)).cloned());
        self.said = warnings;
        self.due =
            [next_stage(unix_s, me.valid_until), trust.next_warning(unix_s)].into_iter().flatten().min();
        lines
    }
}

/// All that should be known now, said before or not.
pub fn warnings(unix_s: u32, me: &Member, trust: &Trust) -> Vec<String> {
    own_warning(unix_s, me).into_iter().chain(trust.warnings(unix_s)).collect()
}

/// How few of the days of [`AHEAD`] are left; 0: none, it has ended.
fn stage(unix_s: u32, end: u32) -> Option<u32> {
    if unix_s > end {
        return Some(0);
    }
    AHEAD.into_iter().rev().find(|days| end - unix_s <= days * DAY_S)
}

/// When the next of them is reached.
fn next_stage(unix_s: u32, end: u32) -> Option<u32> {
    let ahead = AHEAD.into_iter().map(|days| end.saturating_sub(days * DAY_S));
    ahead.chain([end.saturating_add(1)]).find(|at| *at > unix_s)
}

fn own_warning(unix_s: u32, me: &Member) -> Option<String> {
    let end = me.valid_until;
    let when = match stage(unix_s, end)? {
        0 => format!("expired on {}, and others refuse it", Day(end)),
        _ => format!("expires in {}, on {}", left(end - unix_s), Day(end)),
    };
    Some(if end < me.not_after {
        format!("our certificate's CA {when}: a new CA has to sign it (docs/certificates.md)")
    } else {
        format!("our certificate {when}: have it signed again (quicap ca sign) and install it")
    })
}

/// Rounded: half a minute late is still "30 days".
fn left(seconds: u32) -> String {
    match seconds {
        0..=HOUR_S => "less than an hour".to_owned(),
        s if s < 2 * DAY_S => format!("{} hours", (s + HOUR_S / 2) / HOUR_S),
        s => format!("{} days", (s + DAY_S / 2) / DAY_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ca::{Authority, Validity, create};
    use crate::pki::csr::{Request, generate_key, make_request};
    use crate::pki::rights::{Grant, Rights};
    use crate::pki::{Serial, text};
    use crate::types::NodeId;

    const NOW: u32 = 1_800_000_000;
    const END: u32 = NOW + 100 * DAY_S;

    /// A member until [`END`], and whom it trusts: a CA until then or later, with a list that is due in a year.
    fn paper(ca_days: u32) -> (Member, Trust) {
        let key = generate_key().unwrap();
        let ca = create("home", key.as_bytes(), Validity::days(NOW, ca_days)).unwrap();
        let authority = Authority::from_pem(key.as_bytes(), ca.as_bytes()).unwrap();
        let request = make_request("a", generate_key().unwrap().as_bytes()).unwrap();
        let request = Request::from_pem(request.as_bytes()).unwrap();
        let grant = Grant { network: "home".into(), id: NodeId::new(1).unwrap(), rights: Rights::default() };
        let serial = Serial::from_be_bytes(&[1]).unwrap();
        let der = authority.issue(&request, &grant, serial, Validity::days(NOW, 100)).unwrap();
        let crl = text::pem(text::CRL, &authority.revoke(1, &[], NOW).unwrap().der);
        let trust = Trust::from_pem("home", ca.as_bytes(), Some(crl.as_bytes())).unwrap();
        (trust.judge(&[der], NOW, true).unwrap(), trust)
    }

    #[test]
    fn the_end_of_our_certificate_is_said_once_at_30_7_and_1_days_and_when_it_has_come() {
        let (me, trust) = paper(7300);
        let mut dates = Dates::default();
        let mut said = Vec::new();
        let mut now = NOW;
        loop {
            said.extend(dates.poll(now, &me, &trust));
            assert_eq!(dates.poll(now, &me, &trust), Vec::<String>::new(), "once");
            match dates.next_due() {
                Some(due) if due <= END + 1 => now = due,
                _ => break,
            }
        }
        let day = Day(END);
        let remedy = "have it signed again (quicap ca sign) and install it";
        let words =
            ["expires in 30 days, on", "expires in 7 days, on", "expires in 24 hours, on", "expired on"];
        let expected: Vec<String> = words
            .iter()
            .map(|words| match *words {
                "expired on" => format!("our certificate {words} {day}, and others refuse it: {remedy}"),
                words => format!("our certificate {words} {day}: {remedy}"),
            })
            .collect();
        assert_eq!(said, expected);
        assert_eq!(warnings(END + 1, &me, &trust), expected[3..]);
    }

    #[test]
    fn a_renewed_certificate_begins_anew_and_a_late_start_says_only_what_holds() {
        let (me, trust) = paper(7300);
        let mut dates = Dates::default();
        let lines = dates.poll(END - 3 * DAY_S, &me, &trust);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("in 3 days"), "{lines:?}");
        let renewed = Member { not_after: END + 365 * DAY_S, valid_until: END + 365 * DAY_S, ..me };
        assert_eq!(dates.poll(END, &renewed, &trust), Vec::<String>::new());
    }

    #[test]
    fn the_end_of_the_ca_and_of_its_list_are_said_too() {
        let (me, trust) = paper(50);
        let mut dates = Dates::default();
        let lines = dates.poll(NOW + 40 * DAY_S, &me, &trust);
        assert!(
            lines.len() == 1 && lines[0].starts_with("our certificate's CA expires in 10 days"),
            "{lines:?}"
        );
        let late = NOW + 4000 * DAY_S;
        assert_eq!(dates.poll(late, &me, &trust).len(), 3, "our CA, the anchor, the list");
        assert_eq!(dates.poll(late + DAY_S, &me, &trust), Vec::<String>::new());
    }
}
