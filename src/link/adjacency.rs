//! A link comes up, changes its connection and goes down, and who is told.
//! Does not judge certificates. Read first: docs/protocol.md, "Links".

use std::time::{Duration, Instant};

use super::connection::{Attempt, Connection, Role, Settled, Stage};
use super::peer::{Slot, State};
use super::{Event, Links};
use crate::pki::verify::Member;
use crate::types::LinkId;
use crate::wire::control::CloseCode;

impl Links {
    /// A connection has become usable: it takes its place in the link.
    pub(super) fn bring_up(&mut self, now: Instant, slot: Slot, link: LinkId) {
        let keep_alive = self.keep_alive();
        let Some(connection) = self.table.find_mut(slot) else { return };
        connection.set_up(now, keep_alive);
        let (role, member, attempt) = (connection.role, connection.member.clone(), connection.attempt);
        let (rtt, remote) = (connection.rtt(), connection.remote());
        self.gate.remember(now, remote.ip());
        let facts = format!("rtt {}, mtu {}, via {remote}", milliseconds(rtt), connection.max_datagram());
        let link = self.merge(now, slot, link, member.as_ref());
        let Some(own) = self.link_mut(link) else { return };
        let replaced = own.with_role(role);
        let first = !own.is_up();
        let renewed = own.meet(member);
        own.attach(slot, role);
        self.end_earlier_run(now, slot, link);
        let Some(own) = self.link_mut(link) else { return };
        match attempt {
            Some(Attempt { endpoint, .. }) => own.dialer.handle_up(now, endpoint, remote, rtt),
            // Ours still shows what the peer had before.
            None if renewed => own.dialer.renew(now),
            None => own.dialer.hurry(now),
        }
        let known = own.member.as_ref().filter(|_| renewed).map(|member| member.id);
        // With other rights, perhaps.
        self.events.extend(known.map(|node| Event::Up { link, node }));
        if let Some(old) = replaced.and_then(|old| self.table.find_mut(old)) {
            old.linger(now);
        }
        self.rechoose(now, link);
        if first {
            self.announce_up(now, link, &facts);
        }
        self.receive(now, slot);
        self.poll_dialers(now);
    }

    /// What was connected to an earlier run of the peer leads nowhere: that need not be found out by waiting.
    fn end_earlier_run(&mut self, now: Instant, slot: Slot, id: LinkId) {
        let Some((epoch, remote)) = self.table.find(slot).map(|own| (own.epoch, own.remote())) else {
            return;
        };
        let Some(link) = self.link(id) else { return };
        let earlier = |slot: &Slot| self.table.find(*slot).is_some_and(|own| own.epoch != epoch);
        let gone: heapless::Vec<Slot, 2> =
            link.connections.iter().map(|(slot, _)| *slot).filter(earlier).collect();
        for slot in gone {
            self.retire(now, slot, CloseCode::Dead, "the node has restarted");
            self.handle_lost(now, slot, format!("{remote} has restarted"), None);
        }
    }

    pub(super) fn announce_up(&mut self, now: Instant, link: LinkId, facts: &str) {
        let Some(own) = self.link_mut(link) else { return };
        let Some(node) = own.member.as_ref().map(|member| member.id) else { return };
        let took = milliseconds(now.saturating_duration_since(own.since));
        own.since = now;
        own.reason.clear();
        let line = format!("link {}: up after {took}, {facts}", own.title());
        self.events.push_back(Event::Up { link, node });
        self.note(line);
    }

    /// Two links to one node become one: the configured one stays.
    pub(super) fn merge(
        &mut self,
        now: Instant,
        slot: Slot,
        link: LinkId,
        member: Option<&Member>,
    ) -> LinkId {
        let Some(member) = member else { return link };
        let Some(other) =
            self.iter().find(|other| other.id != link && other.is_of(member)).map(|other| other.id)
        else {
            return link;
        };
        let configured = |links: &Self, id: LinkId| links.link(id).is_some_and(|link| link.config.is_some());
        let (keep, gone) =
            if configured(self, other) && !configured(self, link) { (other, link) } else { (link, other) };
        if let Some(connection) = self.table.find_mut(slot) {
            connection.link = Some(keep);
        }
        if configured(self, gone) {
            // Two peer sections are one node: the other one stays and waits.
            return link;
        }
        self.table.move_link(gone, keep);
        let moved: Vec<(Slot, Role)> = self
            .links
            .get_mut(usize::from(gone.0))
            .and_then(Option::take)
            .map(|link| link.connections.into_iter().collect())
            .unwrap_or_default();
        self.rejoiner.forget(gone);
        self.events.push_back(Event::Down { link: gone });
        for (old, role) in moved {
            let taken = self.link_mut(keep);
            match taken {
                Some(own) if own.with_role(role).is_none() => {
                    own.attach(old, role);
                    own.member = Some(member.clone());
                    self.events.push_back(Event::Up { link: keep, node: member.id });
                }
                _ => self.retire(now, old, CloseCode::Replaced, "another connection to this node is up"),
            }
        }
        keep
    }

    /// Closes a connection that its link no longer needs.
    pub(super) fn retire(&mut self, now: Instant, slot: Slot, code: CloseCode, reason: &str) {
        if let Some(connection) = self.table.find_mut(slot) {
            connection.close(now, code, reason);
        }
        self.table.touch(slot);
    }

    /// Closes a connection that is no good, and says so.
    pub(super) fn give_up(&mut self, now: Instant, slot: Slot, code: CloseCode, reason: &str) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        connection.close(now, code, reason);
        let reason = format!("refused {}: {reason}", connection.remote());
        self.table.touch(slot);
        self.handle_lost(now, slot, reason, None);
    }

    /// A connection is over.
    pub(super) fn handle_lost(&mut self, now: Instant, slot: Slot, reason: String, code: Option<u64>) {
        let Some(connection) = self.table.find(slot) else { return };
        let (attempt, remote) = (connection.attempt, connection.remote());
        let Some(id) = connection.link else {
            return self.events.push_back(Event::Refusal(reason));
        };
        let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return };
        let was_up = link.detach(slot);
        if was_up {
            // It was good until now, however long ago it came up.
            self.gate.remember(now, remote.ip());
        }
        match (attempt, was_up) {
            (Some(Attempt { race, .. }), true) => link.dialer.handle_down(now, race),
            (Some(Attempt { race, .. }), false) => link.dialer.handle_failed(race),
            (None, _) => {}
        }
        // A peer that says goodbye in a race that another connection has won is no news.
        let replaced = code == Some(CloseCode::Replaced as u64);
        if was_up && !link.is_up() {
            self.take_down(now, id, reason);
        } else if was_up {
            self.rechoose(now, id);
        } else if !link.is_up() && !replaced {
            if link.config.is_none() {
                self.events.push_back(Event::Refusal(reason.clone()));
            }
            link.reason = reason;
        }
        if attempt.is_some() {
            self.promote(now, id);
        }
        self.remove_if_unused(id);
        self.poll_dialers(now);
    }

    pub(super) fn take_down(&mut self, now: Instant, id: LinkId, reason: String) {
        let Some(link) = self.link_mut(id) else { return };
        let line = format!("link {}: down: {reason}", link.title());
        link.state = State::Down;
        (link.active, link.talks) = (None, None);
        link.reason = reason;
        link.since = now;
        self.rejoiner.forget(id);
        self.events.push_back(Event::Down { link: id });
        self.note(line);
    }

    /// A link that is not in the configuration lives as long as a connection of it does.
    pub(super) fn remove_if_unused(&mut self, id: LinkId) {
        let used = self
            .table
            .iter()
            .any(|(_, connection)| connection.link == Some(id) && connection.stage != Stage::Closed);
        if let Some(place) = self.links.get_mut(usize::from(id.0))
            && place.as_ref().is_some_and(|link| link.config.is_none() && !link.is_up())
            && !used
        {
            *place = None;
        }
    }

    /// What a batch of input told about a connection that is up.
    pub(super) fn handle_settled(&mut self, now: Instant, slot: Slot, id: LinkId, settled: Settled) {
        if settled.moved {
            self.handle_peer_moved(now, slot, id);
        }
        if settled.measured {
            self.measured |= 1_u64.checked_shl(id.0.into()).unwrap_or(0);
            self.compare_roles(now, id);
        }
        if settled.recovered || settled.measured {
            self.rechoose(now, id);
        }
    }

    /// Prefers the connection whose round trip is clearly less.
    fn compare_roles(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.link(id) else { return };
        let rtt = |role| self.table.find(link.with_role(role)?)?.least_rtt();
        let (client, server) = (rtt(Role::Client), rtt(Role::Server));
        if let Some(link) = self.link_mut(id) {
            link.selector.update(now, client, server);
        }
    }

    /// Decides anew which connection of a link carries frames, and which messages.
    pub(super) fn rechoose(&mut self, now: Instant, id: LinkId) {
        let (table, me) = (&self.table, self.config.credentials.me.id);
        let Some(link) = self.links.get_mut(usize::from(id.0)).and_then(Option::as_mut) else { return };
        let suspect = link.choose(|slot| table.find(slot).is_none_or(Connection::is_suspect));
        let control = link.control(me);
        let before = core::mem::replace(&mut link.talks, control);
        if before.is_some() && control.is_some() && before != control {
            self.events.push_back(Event::Resync { link: id });
        }
        self.show_suspicion(now, id, suspect);
    }

    /// Tells when a link that is up begins to be suspect, and when that is over.
    fn show_suspicion(&mut self, now: Instant, id: LinkId, suspect: bool) {
        let state = if suspect { State::Suspect } else { State::Up };
        let Some(link) = self.link_mut(id).filter(|link| link.is_up() && link.state != state) else { return };
        let before = core::mem::replace(&mut link.state, state);
        link.reason = if suspect { "no acknowledgement for too long".to_owned() } else { String::new() };
        let line = format!("link {}: {}", link.title(), state.name());
        match (before, state) {
            (State::Up, State::Suspect) => {
                let withdraw_after = self.withdraw_after(now, id);
                self.events.push_back(Event::Suspect { link: id, withdraw_after });
            }
            (State::Suspect, State::Up) => self.events.push_back(Event::Recovered { link: id }),
            _ => return,
        }
        self.events.push_back(Event::Detail(line));
    }

    /// How long the connection of a suspect link that was heard last is still worth waiting for.
    fn withdraw_after(&self, now: Instant, id: LinkId) -> Duration {
        let connections = self.link(id).into_iter().flat_map(|link| &link.connections);
        let ends = connections.filter_map(|(slot, _)| self.table.find(*slot)?.liveness.withdraw_at());
        ends.max().map_or(Duration::ZERO, |end| end.saturating_duration_since(now))
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
