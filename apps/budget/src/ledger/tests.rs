use std::collections::{BTreeMap, BTreeSet};

use framewire_transport::PixelFormat;
use proptest::prelude::*;

use super::*;
use crate::wire::WireCost;

const ETH: &str = "eth0";

fn link(name: &str, rate: u64, share: f64) -> Link {
    Link { name: name.into(), rate, share, cost: WireCost::of_mtu(1_500) }
}

/// A gigabit, of which 95 % may be taken.
fn ledger() -> Ledger {
    Ledger::new(vec![link(ETH, 1_000_000_000, 0.95)])
}

fn vga(rate: f64) -> Demand {
    Demand {
        format: FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap(),
        frames_per_second: Some(rate),
        may_be_thinned: true,
        priority: PRIORITY_DEFAULT,
    }
}

/// Frames a second of VGA in gray for a tenth of what streams may take of a gigabit.
fn tenth() -> f64 {
    95_000_000.0 / WireCost::of_mtu(1_500).bits_of_frame(640 * 480) as f64
}

fn rates(ledger: &Ledger, flows: impl IntoIterator<Item = u32>) -> Vec<Option<f64>> {
    flows.into_iter().map(|id| ledger.allowance(Flow::In(id)).unwrap().frames_per_second).collect()
}

#[test]
fn ten_cameras_fill_a_link_and_the_eleventh_is_refused_with_the_sum_and_what_would_fit() {
    let mut ledger = ledger();
    let rate = tenth() * 0.995;
    for id in 0..10 {
        ledger.admit(ETH, Flow::In(id), &vga(rate)).unwrap();
    }
    assert_eq!(rates(&ledger, 0..10), [None; 10]);
    let sum = &ledger.sums()[0];
    assert_eq!((sum.streams, sum.thinned, sum.capacity), (10, 0, 950_000_000));
    let refused = ledger.admit(ETH, Flow::In(10), &vga(rate)).unwrap_err();
    assert_eq!((refused.taken, refused.streams), (sum.taken, 10));
    assert_eq!(
        refused.to_string(),
        "the link eth0 is full: it carries 950 Mbit/s to this server (95 % of 1 Gbit/s), 10 streams have 945 Mbit/s, and this one \
         needs 94.5 Mbit/s where 4.75 Mbit/s are left; it fits at up to 1.7 frames/s, or as 80x60 gray8, or with priority 6, as \
         others are thinned then"
    );
    ledger.admit(ETH, Flow::In(10), &vga(refused.fits_at.unwrap())).unwrap();
    assert_eq!(rates(&ledger, 0..11), [None; 11]);
}

#[test]
fn all_together_never_send_faster_than_the_link_carries_nor_more_at_once_than_a_switch_takes() {
    let mut ledger = ledger();
    for id in 0..10 {
        ledger.admit(ETH, Flow::In(id), &vga(tenth() * 0.99)).unwrap();
        let allowed = (0..=id).map(|id| ledger.allowance(Flow::In(id)).unwrap());
        let (bits, bytes): (u64, u64) =
            allowed.fold((0, 0), |(bits, bytes), one| (bits + one.bits_per_second, bytes + u64::from(one.burst_bytes)));
        // Without what Ethernet adds.
        assert!((970_000_000..=976_000_000).contains(&bits), "{bits}");
        assert!(bytes <= 512 * 1024, "{bytes}");
    }
    let phases: BTreeSet<_> = (0..10).map(|id| ledger.allowance(Flow::In(id)).unwrap().phase.unwrap()).collect();
    assert_eq!(phases.len(), 10);
}

#[test]
fn one_that_matters_more_has_those_below_it_thinned_evenly_and_gives_it_back() {
    let mut ledger = ledger();
    for id in 0..8 {
        ledger.admit(ETH, Flow::In(id), &Demand { priority: if id < 4 { 2 } else { 5 }, ..vga(tenth()) }).unwrap();
    }
    let high = Demand { priority: 9, ..vga(tenth() * 4.0) };
    let changed = ledger.admit(ETH, Flow::In(8), &high).unwrap();
    assert_eq!(changed.len(), 9, "all are told");
    let after = rates(&ledger, 0..9);
    assert_eq!(after[4..], [None; 5], "those of a higher priority keep theirs");
    let low: Vec<f64> = after[..4].iter().map(|rate| rate.unwrap()).collect();
    assert!(low.iter().all(|rate| (rate - tenth() / 2.0).abs() < 0.1), "{low:?} of {}", tenth());
    assert_eq!(ledger.sums()[0].thinned, 4);
    ledger.release(Flow::In(8));
    assert_eq!(rates(&ledger, 0..8), [None; 8]);
}

#[test]
fn one_that_is_thinned_keeps_its_seat_when_it_opens_again_and_gets_no_more() {
    let mut ledger = ledger();
    let (low, high) = (vga(tenth() * 6.0), Demand { priority: 9, ..vga(tenth() * 6.0) });
    ledger.admit(ETH, Flow::In(0), &low).unwrap();
    ledger.admit(ETH, Flow::In(1), &high).unwrap();
    let thinned = rates(&ledger, 0..2);
    assert!(thinned[0].is_some(), "{thinned:?}");
    ledger.admit(ETH, Flow::In(0), &low).unwrap();
    assert_eq!(rates(&ledger, 0..2), thinned);
    // What asks for more than it had is judged anew.
    ledger.admit(ETH, Flow::In(0), &vga(tenth() * 7.0)).unwrap_err();
    assert_eq!(rates(&ledger, 0..2), thinned);
}

#[test]
fn a_stream_in_which_every_frame_counts_is_never_thinned() {
    let mut ledger = ledger();
    let every = Demand { may_be_thinned: false, priority: 0, ..vga(tenth() * 6.0) };
    ledger.admit(ETH, Flow::In(0), &every).unwrap();
    let refused = ledger.admit(ETH, Flow::In(1), &Demand { priority: 9, ..vga(tenth() * 5.0) }).unwrap_err();
    assert_eq!((refused.fits_with_priority, refused.left() / 1_000_000), (None, 380));
    ledger.admit(ETH, Flow::In(1), &Demand { priority: 9, ..vga(tenth() * 4.0) }).unwrap();
    assert_eq!(rates(&ledger, 0..2), [None; 2]);
}

#[test]
fn one_that_does_not_say_its_rate_takes_what_is_left_and_makes_way() {
    let mut ledger = ledger();
    let unknown = Demand { frames_per_second: None, ..vga(1.0) };
    ledger.admit(ETH, Flow::In(0), &unknown).unwrap();
    let rate = |ledger: &Ledger| rates(ledger, [0])[0].unwrap();
    assert!((rate(&ledger) - tenth() * 10.0).abs() < 0.1, "{}", rate(&ledger));
    ledger.admit(ETH, Flow::In(1), &Demand { priority: 0, ..vga(tenth() * 9.0) }).unwrap();
    assert!((rate(&ledger) - tenth()).abs() < 0.1, "{}", rate(&ledger));
    let refused = ledger.admit(ETH, Flow::In(2), &Demand { priority: 9, ..vga(tenth() * 10.0) }).unwrap_err();
    assert!(refused.to_string().contains("is full"), "a frame a second is left to each: {refused}");
    ledger.release(Flow::In(1));
    assert!((rate(&ledger) - tenth() * 10.0).abs() < 0.1);
}

#[test]
fn the_two_ways_and_other_links_are_counted_by_themselves_and_who_comes_another_way_is_moved() {
    let mut ledger = Ledger::new(vec![link(ETH, 1_000_000_000, 1.0), link("eth1", 1_000_000_000, 1.0)]);
    let all = vga(tenth() * 10.0);
    for (interface, flow) in [(ETH, Flow::In(1)), (ETH, Flow::Out(1)), ("eth1", Flow::In(2)), ("wlan0", Flow::In(3))] {
        ledger.admit(interface, flow, &all).unwrap();
    }
    assert!(ledger.allowance(Flow::In(3)).is_none() && ledger.admit("wlan0", Flow::In(4), &all).unwrap().is_empty());
    assert!(ledger.admit("eth1", Flow::In(1), &all).is_err());
    assert_eq!(ledger.sums().iter().map(|sum| sum.streams).collect::<Vec<_>>(), [1, 1, 1, 0], "nothing has changed");
    ledger.release(Flow::In(2));
    ledger.admit("eth1", Flow::In(1), &all).unwrap();
    assert_eq!(ledger.sums().iter().map(|sum| sum.streams).collect::<Vec<_>>(), [0, 1, 1, 0]);
    ledger.admit("lo", Flow::In(1), &all).unwrap();
    assert_eq!(ledger.sums().iter().map(|sum| sum.streams).collect::<Vec<_>>(), [0, 1, 0, 0]);
}

#[test]
fn what_would_fit_is_said_in_gray_and_of_fewer_pixels() {
    let mut ledger = ledger();
    ledger.admit(ETH, Flow::In(0), &vga(tenth() * 6.0)).unwrap();
    let colour = FrameFormat::new(PixelFormat::Bgr24, 640, 480).unwrap();
    let refused = ledger.admit(ETH, Flow::In(1), &Demand { format: colour, ..vga(tenth() * 2.0) }).unwrap_err();
    assert_eq!(refused.fits_as, ["640x480 gray8", "320x240 bgr24"]);
    let bytes = FrameFormat::new(PixelFormat::Bytes, 1_000_000, 1).unwrap();
    assert!(ledger.admit(ETH, Flow::In(1), &Demand { format: bytes, ..vga(900.0) }).unwrap_err().fits_as.is_empty());
}

fn demand() -> impl Strategy<Value = Demand> {
    let sides = prop_oneof![Just((64, 48)), Just((640, 480)), Just((1920, 1080))];
    let rate = prop_oneof![1 => Just(None), 6 => (0.05f64..200.0).prop_map(Some)];
    (sides, rate, any::<bool>(), 0u8..12).prop_map(|((width, height), frames_per_second, may_be_thinned, priority)| {
        Demand {
            format: FrameFormat::new(PixelFormat::Gray8, width, height).unwrap(),
            frames_per_second,
            may_be_thinned,
            priority,
        }
    })
}

#[derive(Debug, Clone)]
enum Step {
    Admit(u32, bool, Demand),
    Release(u32, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u32..12, any::<bool>(), demand()).prop_map(|(id, is_in, demand)| Step::Admit(id, is_in, demand)),
        1 => (0u32..12, any::<bool>()).prop_map(|(id, is_in)| Step::Release(id, is_in)),
    ];
    proptest::collection::vec(step, 0..60)
}

fn flow(id: u32, is_in: bool) -> Flow {
    if is_in { Flow::In(id) } else { Flow::Out(id) }
}

proptest! {
    #[test]
    fn whoever_comes_and_goes_no_link_is_oversold_and_nobody_loses_to_an_equal(steps in steps()) {
        let mut ledger = ledger();
        let mut there = BTreeMap::<Flow, Demand>::new();
        for step in steps {
            let before: BTreeMap<Flow, Allowance> =
                there.keys().map(|flow| (*flow, ledger.allowance(*flow).unwrap())).collect();
            let mut come = None;
            match step {
                Step::Admit(id, is_in, demand) => {
                    let flow = flow(id, is_in);
                    match ledger.admit(ETH, flow, &demand) {
                        Ok(changed) => {
                            prop_assert!(changed.iter().any(|(told, _)| *told == flow), "who comes is told");
                            come = Some((flow, demand));
                            there.insert(flow, demand);
                        }
                        Err(refused) => {
                            prop_assert!(refused.taken + refused.needs > refused.capacity);
                            // What is said to fit does; a little more does not.
                            if let Some(rate) = refused.fits_at {
                                let at = |rate| Demand { frames_per_second: Some(rate), ..demand };
                                let book = &ledger.links[0];
                                prop_assert!(book.check(flow, &at(rate)).is_ok());
                                prop_assert!(book.check(flow, &at(rate * 1.11 + 0.2)).is_err());
                            }
                            if let Some(priority) = refused.fits_with_priority {
                                prop_assert!(priority > demand.priority);
                                let higher = Demand { priority, ..demand };
 prop_assert!(ledger.links[0].check(flow, &higher).is_ok());
                            }
                            let after: BTreeMap<Flow, Allowance> =
                                there.keys().map(|flow| (*flow, ledger.allowance(*flow).unwrap())).collect();
                            prop_assert_eq!(&before, &after, "a refusal changes nothing");
                        }
                    }
                }
                Step::Release(id, is_in) => {
                    ledger.release(flow(id, is_in));
                    there.remove(&flow(id, is_in));
                }
            }
            for sum in ledger.sums() {
                prop_assert!(sum.taken <= sum.capacity + 2, "{sum:?}");
                let of_way = || there.iter().filter(|(flow, _)| flow.way() == sum.way);
                prop_assert_eq!(of_way().count(), sum.streams);
                let bits: u64 = of_way().map(|(flow, _)| ledger.allowance(*flow).unwrap().bits_per_second).sum();
                prop_assert!(bits <= sum.rate + 60, "all together no faster than the link: {bits}");
            }
            for (flow, demand) in &there {
                let allowed = ledger.allowance(*flow).unwrap();
                if let (Some(asked), Some(rate)) = (demand.frames_per_second, allowed.frames_per_second) {
                    prop_assert!(demand.may_be_thinned && rate < asked);
                    prop_assert!(rate >= asked.min(1.0) * 0.999, "{rate} of {asked}");
                }
                // Nobody is thinned for one that matters no more.
                if let (Some((came, by)), Some(before)) = (come, before.get(flow))
                    && came != *flow && demand.frames_per_second.is_some()
                    && demand.priority.min(PRIORITY_MAX) >= by.priority.min(PRIORITY_MAX)
                    && before.frames_per_second.is_none()
                {
                    prop_assert_eq!(allowed.frames_per_second, None);
                }
            }
        }
        for flow in there.keys() {
            ledger.release(*flow);
        }
        prop_assert!(ledger.sums().iter().all(|sum| (sum.taken, sum.streams) == (0, 0)));
    }
}
