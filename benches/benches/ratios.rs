//! What Framewire reaches of the bare kernel's rate: every contender in every round, so that the machine's moods hit all of
//! them alike, and medians of the ratios within a round.
//!
//! `cargo bench -p framewire-benches --bench ratios -- [--rounds N] [--seconds S] [--only NAME,NAME] [FILTER…]`; a filter is
//! a part of `PICTURE/SLICE_BYTES`.
//!
//! `protected` is `mmsg` with a key, and `sealing` what one core seals of the same slices. With both stands what `protected` could reach at
//! best were a frame sealed and sent by one core, one after the other, `1/(1/mmsg + 1/sealing)` of the same round, and how much of it it does.
#![allow(missing_docs)]

use std::time::Duration;

#[cfg(target_os = "linux")]
use framewire_benches::KernelLink;
use framewire_benches::{FramewireLink, Link, Options, Picture, SLICE_BYTES, SealingLink, TcpLink};
use framewire_transport::BackendKind;
use framewire_transport::wire::train_slices;

struct Contender {
    name: String,
    link: Box<dyn Link>,
    /// Frames that take about the time of a round.
    frames: u64,
    rates: Vec<f64>,
    cpu_seconds_per_gb: Vec<f64>,
}

impl Contender {
    fn new(name: &str, mut link: Box<dyn Link>, time: Duration) -> Self {
        // Twice: the first frames fault memory in and open the window.
        link.transfer(8);
        let taken = link.transfer(8);
        let frames = (8.0 * time.as_secs_f64() / taken.as_secs_f64()).ceil().max(1.0) as u64;
        Self { name: name.to_owned(), link, frames, rates: Vec::new(), cpu_seconds_per_gb: Vec::new() }
    }

    fn run(&mut self, frame_bytes: usize) {
        let gigabytes = self.frames as f64 * frame_bytes as f64 / 1e9;
        let cpu = cpu_seconds();
        let taken = self.link.transfer(self.frames);
        self.cpu_seconds_per_gb.push((cpu_seconds() - cpu) / gigabytes);
        self.rates.push(gigabytes / taken.as_secs_f64());
    }
}

/// Processor time of the whole process, which is both ends.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn contenders(picture: &Picture, slice_bytes: u16, options: &Options) -> Vec<Contender> {
    let trains = train_slices(usize::from(slice_bytes)) > 1;
    let mut contenders = Vec::new();
    let mut add = |name: &str, link: &dyn Fn() -> Box<dyn Link>| {
        if options.takes(name) {
            contenders.push(Contender::new(name, link(), options.time));
        }
    };
    #[cfg(target_os = "linux")]
    add("kernel", &|| Box::new(KernelLink::new(picture, slice_bytes, trains)));
    for kind in BackendKind::ALL.iter().copied().filter(|kind| *kind != BackendKind::Auto) {
        add(kind.name(), &|| Box::new(FramewireLink::new(picture, kind, slice_bytes, trains)));
    }
    let protected =
        || Box::new(FramewireLink::protected(picture, BackendKind::Auto, slice_bytes, trains)) as Box<dyn Link>;
    add("protected", &protected);
    add("sealing", &|| Box::new(SealingLink::new(picture, slice_bytes)));
    add("tcp", &|| Box::new(TcpLink::new(picture)));
    contenders
}

fn main() {
    let options = Options::parse(9, Duration::from_millis(300));
    for picture in [Picture::full_hd_gray(), Picture::ultra_hd_bgr(), Picture::vga_gray()] {
        for slice_bytes in SLICE_BYTES {
            let group = format!("{}/{slice_bytes}", picture.name);
            if !options.wants(&group) {
                continue;
            }
            let mut contenders = contenders(&picture, slice_bytes, &options);
            for _ in 0..options.rounds {
                contenders.iter_mut().for_each(|contender| contender.run(picture.bytes()));
            }
            println!("\n{group}, medians of {} rounds", options.rounds);
            println!("  {:<10} {:>8} {:>15} {:>10} {:>12}", "", "GB/s", "range", "of first", "CPU s/GB");
            let floor = contenders[0].rates.clone();
            for Contender { name, rates, cpu_seconds_per_gb, .. } in &contenders {
                let ratios: Vec<f64> = rates.iter().zip(&floor).map(|(rate, floor)| rate / floor).collect();
                let (low, high) = (sorted(rates)[0], sorted(rates)[rates.len() - 1]);
                println!(
                    "  {name:<10} {:>8.2} {:>15} {:>10.2} {:>12.3}",
                    median(rates),
                    format!("{low:.2}-{high:.2}"),
                    median(&ratios),
                    median(cpu_seconds_per_gb),
                );
            }
            if let Some((bound, reached)) = bound(&contenders) {
                println!("  protected could reach {bound:.2} GB/s at best, and reaches {reached:.2} of it");
            }
        }
    }
}

/// What the protected contender could reach at best, and how much of that it does: medians of what the rounds say.
fn bound(contenders: &[Contender]) -> Option<(f64, f64)> {
    let rates = |name: &str| contenders.iter().find(|contender| contender.name == name).map(|it| &it.rates);
    let (plain, sealing, protected) = (rates("mmsg")?, rates("sealing")?, rates("protected")?);
    let bounds: Vec<f64> =
        plain.iter().zip(sealing).map(|(plain, sealing)| 1.0 / (1.0 / plain + 1.0 / sealing)).collect();
    let reached: Vec<f64> = protected.iter().zip(&bounds).map(|(rate, bound)| rate / bound).collect();
    Some((median(&bounds), median(&reached)))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}
