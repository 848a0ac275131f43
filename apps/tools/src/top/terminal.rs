//! The screen while it is ours, and the keys.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::Model;
use super::streams::Snapshot;
use super::view;

/// How long a key is waited for before answers and the request to stop are looked at.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// Shows the model, and what becomes of it, until the user has seen enough.
///
/// # Errors
/// The terminal cannot be used.
pub(super) fn show(
    model: &mut Model,
    answers: &Receiver<Result<Snapshot, String>>,
    stop: &Stop,
) -> Result<(), Failure> {
    let unusable = |error: io::Error| {
        Failure::runtime(format!("the terminal cannot be used ({error}); framewire top --once prints the table"))
    };
    let mut screen = Screen::take().map_err(unusable)?;
    let begun = Instant::now();
    let mut drawn = None;
    while !stop.is_stopped() {
        let mut is_new = false;
        loop {
            match answers.try_recv() {
                Ok(answer) => {
                    model.handle_answer(answer, begun.elapsed());
                    is_new = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(Failure::runtime(
                        "the thread that asks the server has ended; start framewire top again",
                    ));
                }
            }
        }
        // Times that pass are shown in seconds.
        let now = begun.elapsed();
        if is_new || drawn != Some(now.as_secs()) {
            screen.terminal.draw(|frame| view::draw(model, now, frame.area(), frame.buffer_mut())).map_err(unusable)?;
            drawn = Some(now.as_secs());
        }
        if event::poll(LOOK_AROUND).map_err(unusable)? {
            // Also where the terminal has another size now.
            drawn = None;
            match event::read().map_err(unusable)? {
                Event::Key(key) if handle_key(model, key) == Flow::Quit => return Ok(()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The terminal, which is given back as it was however this ends; ratatui does so on a panic.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn take() -> io::Result<Self> {
        // Where only a part of it works, that is undone.
        ratatui::try_init().map(|terminal| Self { terminal }).inspect_err(|_| restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // There is nobody left to tell where even that fails: the terminal is gone.
    let _ = ratatui::try_restore();
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Quit,
}

fn handle_key(model: &mut Model, key: KeyEvent) -> Flow {
    const PAGE: isize = 10;
    if key.kind == KeyEventKind::Release {
        return Flow::On;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Flow::Quit,
        KeyCode::Char('q') => return Flow::Quit,
        KeyCode::Esc if model.help => model.help = false,
        KeyCode::Esc => return Flow::Quit,
        KeyCode::Char('?') => model.help = !model.help,
        KeyCode::Up | KeyCode::Char('k') => model.select(-1),
        KeyCode::Down | KeyCode::Char('j') => model.select(1),
        KeyCode::PageUp => model.select(-PAGE),
        KeyCode::PageDown => model.select(PAGE),
        KeyCode::Home => model.select(isize::MIN),
        KeyCode::End => model.select(isize::MAX),
        _ => {}
    }
    Flow::On
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::streams::made_up::{snapshot, stream};

    fn model() -> Model {
        let mut model = Model::new("http://cams", Duration::from_secs(1));
        let answer = snapshot((0..30).map(|id| stream(id, &format!("cam-{id:02}"))).collect());
        model.handle_answer(Ok(answer), Duration::ZERO);
        model
    }

    #[test]
    fn keys_move_the_choice_and_never_beyond_the_ends() {
        let mut model = model();
        for (key, row) in [
            (KeyCode::Down, 1),
            (KeyCode::Char('j'), 2),
            (KeyCode::Up, 1),
            (KeyCode::Char('k'), 0),
            (KeyCode::Up, 0),
            (KeyCode::PageDown, 10),
            (KeyCode::End, 29),
            (KeyCode::Down, 29),
            (KeyCode::PageUp, 19),
            (KeyCode::Home, 0),
        ] {
            assert_eq!(handle_key(&mut model, key.into()), Flow::On);
            assert_eq!(model.selected_row(), row, "{key:?}");
        }
    }

    #[test]
    fn q_escape_and_ctrl_c_quit_and_help_is_left_first() {
        let mut model = model();
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for key in [KeyCode::Char('q').into(), KeyCode::Esc.into(), ctrl_c] {
            assert_eq!(handle_key(&mut model, key), Flow::Quit, "{key:?}");
        }
        assert_eq!(handle_key(&mut model, KeyCode::Char('c').into()), Flow::On);
        handle_key(&mut model, KeyCode::Char('?').into());
        assert!(model.help);
        assert_eq!(handle_key(&mut model, KeyCode::Esc.into()), Flow::On);
        assert!(!model.help);
    }
}
