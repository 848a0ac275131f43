//! What is said on the command lines of benchmarks that take rounds in turns.

use std::time::Duration;

/// What a benchmark with rounds of its own is told on its command line: `[--rounds N] [--seconds S] [--only NAME,NAME] [FILTER…]`.
#[derive(Debug)]
pub struct Options {
    /// Rounds, each of all contenders.
    pub rounds: usize,
    /// What a contender's part of a round takes, about.
    pub time: Duration,
    only: Vec<String>,
    filters: Vec<String>,
}

impl Options {
    /// Reads the command line. Where it is not `cargo bench` that runs it, one round as short as can be tries whether it runs.
    ///
    /// # Panics
    /// A flag lacks its value.
    pub fn parse(rounds: usize, time: Duration) -> Self {
        let mut options = Self { rounds, time, only: Vec::new(), filters: Vec::new() };
        // What `cargo bench` passes and `cargo test` does not, which only tries whether it runs.
        let mut measuring = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().and_then(|text| text.parse::<f64>().ok());
            match argument.as_str() {
                "--rounds" => options.rounds = value().expect("--rounds takes a number") as usize,
                "--seconds" => options.time = Duration::from_secs_f64(value().expect("--seconds takes a number")),
                "--only" => {
                    options.only =
                        arguments.next().expect("--only takes names").split(',').map(str::to_owned).collect();
                }
                "--bench" => measuring = true,
                filter => options.filters.push(filter.to_owned()),
            }
        }
        if !measuring {
            (options.rounds, options.time) = (1, Duration::ZERO);
        }
        options
    }

    /// Whether a contender is to be measured.
    pub fn takes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether a group of measurements is wanted.
    pub fn wants(&self, group: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| group.contains(filter.as_str()))
    }
}
