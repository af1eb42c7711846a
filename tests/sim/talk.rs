//! What links say to each other, and what they tell of themselves.

use bytes::Bytes;
use quicap::limits;
use quicap::link::Event;
use quicap::link::connection::Stage;
use quicap::types::LinkId;
use quicap::wire::control::HEADER;

use crate::ends::{DELAY, End, Ends, LINK, heard, message, ms};

#[test]
fn long_messages_and_many_arrive_whole_and_in_order_in_both_directions() {
    let mut pair = Ends::up(&[&[1], &[0]]);
    let mut said: Vec<_> = (0..40).map(|number| message(number, 1024)).collect();
    said.insert(20, message(99, 60 * 1024));
    said.push(message(100, 0xFFFF));
    for message in &said {
        assert!(pair.say(0, message) && pair.say(1, message));
    }
    pair.run_for(ms(3000));
    for end in &pair.ends {
        assert!(heard(end) == Vec::from_iter(&said), "{} of {}", end.heard.len(), said.len());
        assert_eq!(end.links.unsaid(), 0);
    }
}

#[test]
fn who_does_not_listen_holds_the_sender_back_and_loses_nothing() {
    let mut pair = Ends::up(&[&[1], &[0]]);
    pair.ends[1].attends = false;
    let mut said = Vec::new();
    for number in 0..1000 {
        let message = message(number, 1024);
        if pair.say(0, &message) {
            said.push(message);
        }
        pair.run_for(ms(1));
    }
    let bytes = said.len() * (1024 + HEADER);
    // What waits at the sender, and the window of the stream.
    assert!((limits::CONTROL_QUEUE..limits::CONTROL_QUEUE + 512 * 1024).contains(&bytes), "{bytes} bytes");
    assert_eq!(pair.ends[0].links.unsaid(), 1000 - said.len() as u64);
    let steps = pair.run_for(ms(10_000));
    assert!(steps < 200, "{steps} steps while nothing happens");
    assert!(pair.ends[1].heard.is_empty());
    pair.ends[1].attends = true;
    pair.drain(1);
    pair.run_for(ms(10_000));
    assert!(heard(&pair.ends[1]) == Vec::from_iter(&said), "{} of {}", pair.ends[1].heard.len(), said.len());
}

#[test]
fn what_is_said_at_once_waits_until_the_first_question() {
    let mut pair = Ends::new(&[&[1], &[]], |_| {});
    pair.ends[1].attends = false;
    pair.run_until(ms(1000), |pair| pair.ends[0].links.iter().any(|link| link.is_up()));
    assert!(pair.say(0, &message(1, 10)) && pair.say(0, &message(2, 10)));
    pair.run_for(ms(1000));
    pair.ends[1].attends = true;
    pair.drain(1);
    assert_eq!(heard(&pair.ends[1]), [&message(1, 10), &message(2, 10)]);
}

#[test]
fn a_link_that_is_down_takes_no_message() {
    let mut pair = Ends::new(&[&[1], &[]], |_| {});
    assert!(!pair.say(0, &message(1, 10)));
    assert_eq!(pair.ends[0].links.unsaid(), 0, "that is no lack of room");
}

#[test]
fn a_message_that_is_none_ends_its_connection_and_one_that_is_not_understood_does_not() {
    let mut pair = Ends::up(&[&[1], &[]]);
    assert!(pair.say(0, &[99, 0, 1, 7]) && pair.say(0, &[0x80, 0, 1, 7]) && pair.say(0, &message(1, 10)));
    pair.run_for(ms(100));
    assert_eq!(heard(&pair.ends[1]), [&message(1, 10)]);
    assert!(pair.say(0, &[14, 0, 1, 7]));
    pair.run_for(ms(100));
    assert!(pair.ends[1].events.contains(&Event::Down { link: LINK }), "{:?}", pair.ends[1].events);
    let reason = pair.ends[0].links.iter().next().map(|link| link.reason.clone()).unwrap_or_default();
    assert!(reason.contains("malformed control message"), "{reason}");
}

#[test]
fn a_connection_that_was_replaced_is_heard_to_the_end() {
    let mut pair = Ends::up(&[&[1], &[]]);
    pair.ends[1].attends = false;
    assert!(pair.say(0, &message(1, 10)));
    pair.run_for(ms(100));
    let dialed = |end: &End, stage| end.links.connections().filter(|own| own.stage == stage).count();
    pair.renew();
    pair.run_until(ms(5000), |pair| dialed(&pair.ends[1], Stage::Lingering) == 1);
    pair.ends[1].attends = true;
    pair.drain(1);
    assert_eq!(heard(&pair.ends[1]), [&message(1, 10)]);
}

#[test]
fn each_link_gets_its_turn_however_much_another_says() {
    let mut ends = Ends::up(&[&[], &[0], &[0]]);
    ends.ends[0].attends = false;
    for number in 0..50 {
        assert!(ends.say(1, &message(number, 100)));
    }
    assert!(ends.say(2, &message(98, 100)) && ends.say(2, &message(99, 100)));
    ends.run_for(ms(200));
    ends.ends[0].attends = true;
    ends.drain(0);
    let links: Vec<u8> = ends.ends[0].heard.iter().map(|(LinkId(link), _)| *link).collect();
    assert_eq!(links.len(), 52);
    let [first, second] = [links[0], links[1]];
    assert_ne!(first, second);
    assert_eq!((links[2], links[3]), (first, second), "{links:?}");
}

/// What happened to the first link, lines for the log left out.
fn events(end: &mut End) -> Vec<Event> {
    let line = |event: &Event| matches!(event, Event::Note(_) | Event::Detail(_) | Event::Refusal(_));
    end.events.retain(|event| !line(event));
    std::mem::take(&mut end.events)
}

#[test]
fn a_silent_link_is_suspect_for_a_while_before_others_are_told_and_recovers_or_goes_down() {
    let mut ends = Ends::up(&[&[1], &[]]);
    ends.run_for(ms(7000));
    assert_eq!(events(&mut ends.ends[0]).len(), 1, "up");
    for (heals, last) in [(true, Event::Recovered { link: LINK }), (false, Event::Down { link: LINK })] {
        ends.cut = vec![0];
        assert!(ends.say(0, &message(1, 10)));
        let said = ends.now;
        let suspect = |event: &Event| matches!(event, Event::Suspect { .. });
        ends.run_until(ms(2000), |ends| ends.ends[0].events.iter().any(suspect));
        let after = ends.now - said;
        assert!((limits::SUSPECT_MIN..limits::WITHDRAW_MIN).contains(&after), "{after:?}");
        let withdraw_after = limits::WITHDRAW_MIN - after;
        let expected = Event::Suspect { link: LINK, withdraw_after };
        if heals {
            ends.cut.clear();
        }
        ends.run_for(ms(3000));
        assert_eq!(events(&mut ends.ends[0]), [expected, last]);
    }
}

#[test]
fn a_connection_that_carried_messages_and_died_is_told_and_the_link_is_never_suspect() {
    let mut ends = Ends::up(&[&[1], &[0]]);
    ends.run_for(ms(1000));
    for site in 0..2 {
        let seen = events(&mut ends.ends[site]);
        let fine = matches!(seen[..], [Event::Up { .. }] | [Event::Up { .. }, Event::Resync { .. }]);
        assert!(fine, "{seen:?}");
    }
    // The one that the node with the lower id dialed.
    ends.cut = vec![0];
    ends.run_for(ms(10_000));
    for site in 0..2 {
        assert_eq!(events(&mut ends.ends[site]), [Event::Resync { link: LINK }]);
    }
    assert!(ends.say(0, &message(1, 10)) && ends.say(1, &message(2, 10)));
    ends.run_for(ms(100));
    assert_eq!((heard(&ends.ends[1]), heard(&ends.ends[0])), (vec![&message(1, 10)], vec![&message(2, 10)]));
    ends.cut.clear();
    ends.run_for(ms(40_000));
    for site in 0..2 {
        assert_eq!(events(&mut ends.ends[site]), [Event::Resync { link: LINK }], "it is back");
    }
    ends.cut = vec![1];
    ends.run_for(ms(10_000));
    assert_eq!(events(&mut ends.ends[0]), [], "that one carried no messages");
}

#[test]
fn measured_round_trips_are_told_once() {
    let mut ends = Ends::up(&[&[1], &[]]);
    ends.run_for(ms(1000));
    let links = &mut ends.ends[0].links;
    assert_eq!(links.least_rtt(LINK), Some(DELAY * 2));
    assert_eq!(links.least_rtt(LinkId(7)), None);
    assert_eq!((links.take_measured(), links.take_measured()), (1, 0));
    assert!(ends.say(0, &message(1, 10)));
    ends.run_for(ms(100));
    assert_eq!(ends.ends[0].links.take_measured(), 1);
}

#[test]
fn who_watches_sees_what_was_sent_before_it_was_split_and_the_oldest_goes() {
    let mut ends = Ends::up(&[&[1], &[]]);
    let datagram = |number: usize| Bytes::from(vec![number as u8; 1900]);
    let now = ends.now;
    let links = &mut ends.ends[0].links;
    links.send(now, LINK, &datagram(1)).expect("sends");
    assert_eq!(links.poll_watched(), None, "nobody watched");
    links.watch();
    let numbers = 0..limits::WATCHED + 10;
    for number in numbers.clone() {
        // Whether the queue is full is not the question.
        let _ = links.send(now, LINK, &datagram(number));
    }
    let watched: Vec<_> = std::iter::from_fn(|| links.poll_watched()).collect();
    let expected: Vec<_> = numbers.skip(10).map(|number| (LINK, datagram(number))).collect();
    assert!(watched == expected, "{} copies", watched.len());
}

#[test]
fn a_message_gets_through_though_frames_take_all_that_the_link_carries() {
    let mut ends = Ends::new(&[&[1], &[]], |config| config.profile.window = 30_000);
    ends.come_up(2);
    ends.run_for(ms(2000));
    // One fills a packet, as the largest do where the TAP has the MTU of the path.
    let full = ends.ends[0].links.smallest_datagram().expect("is up");
    let frame = Bytes::from([vec![0], vec![7; full - 1]].concat());
    let load = |ends: &mut Ends, time: u64| {
        let (mut taken, mut came) = (0, 0);
        for _ in 0..time {
            for _ in 0..10 {
                taken += usize::from(ends.ends[0].links.send(ends.now, LINK, &frame).is_ok());
            }
            ends.drain(0);
            ends.run_for(ms(1));
            came += std::iter::from_fn(|| ends.ends[1].links.poll_datagram()).count();
        }
        (taken, came)
    };
    let (taken, before) = load(&mut ends, 1000);
    assert!(taken < 5000, "{taken} of 10000 frames found room: that is no load");
    let said = [message(1, 10), message(2, 40_000)];
    assert!(said.iter().all(|message| ends.say(0, message)));
    let (_, while_said) = load(&mut ends, 1000);
    assert!(heard(&ends.ends[1]) == Vec::from_iter(&said), "{} heard", heard(&ends.ends[1]).len());
    assert!(while_said * 10 > before * 8, "{while_said} frames in a second, {before} before");
}
