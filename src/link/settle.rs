//! Works off what input and time have set going, connection by connection: reports, timers, stages that took too long.
//! Does not decide what a report means for the link. Read first: docs/architecture.md, "Verbs".

use std::time::Instant;

use super::connection::{Connection, Overdue, Report, Role, Stage};
use super::peer::Slot;
use super::{Event, Links, reason};
use crate::wire::control::CloseCode;

impl Links {
    /// Works off what the input since the last call has set going.
    pub fn settle(&mut self, now: Instant) {
        while let Some(slot) = self.table.next_touched() {
            self.settle_connection(now, slot);
        }
    }

    fn settle_connection(&mut self, now: Instant, slot: Slot) {
        self.exchange_events(slot);
        while let Some(report) = self.table.find_mut(slot).and_then(|connection| connection.poll(now)) {
            match report {
                Report::Connected => self.handle_connected(now, slot),
                Report::Hello(hello) => self.handle_hello(now, slot, &hello),
                Report::Lost { reason, code } => self.handle_lost(now, slot, reason, code),
            }
        }
        let Some(connection) = self.table.find_mut(slot) else { return };
        let settled = connection.settle(now);
        if let Some(link) = connection.link.filter(|_| connection.is_up()) {
            self.handle_settled(now, slot, link, settled);
        }
        if self.table.find(slot).is_some_and(Connection::has_messages) {
            self.table.set_talking(slot);
        }
        self.exchange_events(slot);
        self.table.remove_drained(slot);
    }

    /// Carries events between a connection and its endpoint.
    fn exchange_events(&mut self, slot: Slot) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let endpoint = if connection.role == Role::Server { &mut self.listener } else { &mut self.dialer };
        while let Some(event) = connection.quinn.poll_endpoint_events() {
            if let Some(answer) = endpoint.handle_event(connection.handle, event) {
                connection.quinn.handle_event(answer);
            }
        }
    }

    pub fn next_timeout(&mut self) -> Option<Instant> {
        let dialers = self.links.iter().flatten().filter_map(|link| link.dialer.next_timeout()).min();
        [dialers, self.table.next_timeout()].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((slot, overdue)) = self.table.handle_timeout(now) {
            self.handle_overdue(now, slot, overdue);
        }
        self.poll_dialers(now);
        self.settle(now);
    }

    fn handle_overdue(&mut self, now: Instant, slot: Slot, overdue: Overdue) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let remote = connection.remote();
        match overdue {
            Overdue::Late => {
                if let Some(link) = connection.link {
                    self.probe_others(now, slot, link);
                }
            }
            Overdue::Suspect => {
                if let Some(id) = connection.link {
                    self.link_mut(id).into_iter().for_each(|link| link.suspicions += 1);
                    self.rechoose(now, id);
                }
            }
            Overdue::Dead => {
                connection.close(now, CloseCode::Dead, "no acknowledgement for too long");
                self.handle_lost(now, slot, format!("{remote} answers no more"), None);
            }
            Overdue::Stage => self.handle_overdue_stage(now, slot),
        }
    }

    /// A stage took too long, or as long as it was meant to.
    fn handle_overdue_stage(&mut self, now: Instant, slot: Slot) {
        let Some(connection) = self.table.find_mut(slot) else { return };
        let (remote, stage, link) = (connection.remote(), connection.stage, connection.link);
        if matches!(stage, Stage::Measuring | Stage::Lingering) {
            connection.close(now, CloseCode::Replaced, "another connection carries");
            return link.into_iter().for_each(|link| self.remove_if_unused(link));
        }
        connection.close(now, CloseCode::Protocol, "no HELLO in time");
        if link.is_none() {
            let line = format!("{remote}: handshake not finished in time");
            return self.events.push_back(Event::Detail(line));
        }
        let reason = match stage {
            Stage::Greeting => format!("no HELLO from {remote} in time"),
            _ => reason::no_answer(remote),
        };
        self.handle_lost(now, slot, reason, None);
    }
}
