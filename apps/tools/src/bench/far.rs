//! The receiving end: serves one bench after another, one at a time.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use framewire_capture::RawFormat;
use framewire_figures::summary::cpu_seconds;
use framewire_process::exit::{Failure, say};
use framewire_process::logs::News;
use framewire_process::stop::Stop;
use framewire_transport::{BackendKind, clock_id};

use super::contender::{Contender, ReceiveLink};
use super::control::{Control, ControlError, Ready, Reply, Run, is_pause};
use super::frame::check_frame;
use super::framewire::FramewireReceiver;
use super::kernel::KernelReceiver;
use super::patience::LOOK_AROUND;
use super::pipe::PipeReceiver;
use super::shm::ShmReceiver;
use super::tally;
use super::tcp::TcpReceiver;

/// What stands before the address in the first line on standard output.
pub(super) const LISTENING: &str = "framewire bench: receiving on ";
/// How long a bench may take from one measurement to the next.
const IDLE: Duration = Duration::from_secs(30);

/// Receives until somebody asks to stop; with `once`, for one bench; if `tied`, while standard input is open.
///
/// # Errors
/// The address cannot be listened on.
pub(super) fn run(address: SocketAddr, once: bool, tied: bool, stop: &Stop) -> Result<(), Failure> {
    let refused = |error| {
        Failure::runtime(format!(
            "cannot listen on TCP {address}: {error}; use an address of this machine and a port that is free"
        ))
    };
    let listener = TcpListener::bind(address).map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    if tied {
        stop_at_end_of_input(stop)?;
    }
    writeln!(std::io::stdout(), "{LISTENING}{local}")
        .map_err(|error| Failure::runtime(format!("the address cannot be written to standard output: {error}")))?;
    // Whoever asks for any port takes any other, too.
    let far = Far { listener, local, elsewhere: address.port() == 0, tied, stop };
    let (mut not_taken, mut told) = (0, News::default());
    while !stop.is_stopped() {
        let (stream, peer) = match far.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if is_pause(&error) => {
                stop.sleep(LOOK_AROUND);
                continue;
            }
            Err(error) => {
                not_taken += 1;
                if let Some(times) = told.of(not_taken, Instant::now()) {
                    say(format_args!("framewire bench: {times} times a connection was not taken: {error}"));
                }
                stop.sleep(LOOK_AROUND);
                continue;
            }
        };
        match far.greet(stream) {
            Ok(control) => {
                if let Err(failure) = far.serve(control)
                    && !tied
                    && !stop.is_stopped()
                {
                    say(format_args!("framewire bench: {failure}"));
                }
                if once {
                    break;
                }
            }
            Err(ControlError::Stopped) => {}
            Err(error) => say(format_args!("framewire bench: no bench from {peer}: {error}")),
        }
    }
    Ok(())
}

/// The process that started this one holds the other end: it is gone when the pipe is.
fn stop_at_end_of_input(stop: &Stop) -> Result<(), Failure> {
    let stop = stop.clone();
    let read = move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.stop();
    };
    std::thread::Builder::new().name("bench-tied".into()).spawn(read).map(|_| ()).map_err(Failure::runtime)
}

struct Far<'a> {
    listener: TcpListener,
    local: SocketAddr,
    /// UDP may be at another port where this one is taken.
    elsewhere: bool,
    /// The near end has started this one, and is believed.
    tied: bool,
    stop: &'a Stop,
}

impl Far<'_> {
    fn greet(&self, stream: TcpStream) -> Result<Control, ControlError> {
        // On some systems it inherits this from the listener.
        let _ = stream.set_nonblocking(false);
        Control::answer(stream, clock_id(0), self.stop)
    }

    /// Receives what the near end sends, until it closes the connection.
    fn serve(&self, mut control: Control) -> Result<(), Failure> {
        loop {
            let run: Run = match control.receive(IDLE) {
                Ok(run) => run,
                Err(ControlError::Closed(_) | ControlError::Stopped) => return Ok(()),
                Err(error) => return Err(Failure::runtime(error)),
            };
            if let Err(failure) = self.measure(&mut control, &run) {
                // The near end tells its user; if it is gone, there is nobody to tell.
                let _ = control.send_failure(&failure.to_string());
                return Err(failure);
            }
        }
    }

    fn measure(&self, control: &mut Control, run: &Run) -> Result<(), Failure> {
        let mut link = self.open(control, run)?;
        tally::receive(link.as_mut(), run.shared_clock, cpu_seconds, self.stop, |figures| {
            control.send(&Reply::Phase(figures)).map_err(Failure::runtime)
        })?;
        link.finish();
        Ok(())
    }

    /// Takes memory and sockets, and tells the near end where to send.
    fn open(&self, control: &mut Control, run: &Run) -> Result<Box<dyn ReceiveLink>, Failure> {
        let frame: RawFormat = run.frame.parse().map_err(Failure::runtime)?;
        check_frame(&frame).map_err(Failure::runtime)?;
        let backend: BackendKind = run.backend.parse().map_err(Failure::runtime)?;
        let frame_bytes = frame.format.frame_bytes();
        let stream = getrandom::u32()
            .map_err(|error| Failure::runtime(format!("the system gives no random numbers: {error}")))?;
        let (link, port, window): (Box<dyn ReceiveLink>, _, _) = match run.contender {
            Contender::Framewire | Contender::Protected => {
                let what = (stream, frame.format);
                let key = run.key.as_deref().map(str::parse).transpose().map_err(Failure::runtime)?;
                let link = FramewireReceiver::bind(self.local, self.elsewhere, what, key, backend, self.stop)?;
                let port = link.port();
                (Box::new(link), port, 0)
            }
            Contender::Kernel => {
                let peer = SocketAddr::new(control.peer().ip(), run.udp_port);
                let what = (backend, frame_bytes);
                let link = KernelReceiver::towards((control.local(), peer), run.datagram_bytes, what, self.stop)?;
                let (port, window) = (link.port()?, link.window());
                (Box::new(link), port, window)
            }
            Contender::Tcp => {
                (Box::new(TcpReceiver::new(&self.listener, stream, frame_bytes, self.stop)?), self.local.port(), 0)
            }
            Contender::Pipe => (Box::new(PipeReceiver::open(self.path(run)?, run.busy_poll, self.stop)?), 0, 0),
            Contender::Shm | Contender::ShmRead => {
                let reads = run.contender == Contender::ShmRead;
                (Box::new(ShmReceiver::subscribe(self.path(run)?, reads, run.busy_poll, self.stop)?), 0, 0)
            }
            Contender::Memory => return Err(Failure::runtime("both halves of memory are in one process")),
        };
        control.send(&Reply::Ready(Ready { port, stream, window })).map_err(Failure::runtime)?;
        Ok(link)
    }

    /// Where the two ends meet. Whoever reaches the port must not have any file of this machine opened.
    fn path<'r>(&self, run: &'r Run) -> Result<&'r Path, Failure> {
        match &run.path {
            Some(path) if self.tied => Ok(Path::new(path)),
            _ => Err(Failure::runtime(format!(
                "{} is measured with a process that the bench starts itself; leave --to out",
                run.contender
            ))),
        }
    }
}
