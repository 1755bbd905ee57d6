//! A terminal that is drawn anew, and the key that ends it. Everything is put back when it is dropped.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Tenths of a second that one look at the keyboard takes.
const LOOK: u8 = 1;
const CTRL_C: u8 = 3;

pub struct Screen {
    /// As it was; `None` where nobody can type.
    before: Option<Termios>,
}

impl Screen {
    /// `None`: it cannot be drawn on.
    pub fn open() -> Option<Self> {
        let mut out = io::stdout();
        out.write_all(ENTER.as_bytes()).and_then(|()| out.flush()).ok()?;
        let before = if io::stdin().is_terminal() { tcgetattr(io::stdin()).ok() } else { None };
        if let Some(before) = &before {
            let mut keys = before.clone();
            // Ctrl-C comes as a key: what was changed has to be put back.
            keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            keys.special_codes[SpecialCodeIndex::VMIN] = 0;
            keys.special_codes[SpecialCodeIndex::VTIME] = LOOK;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &keys);
        }
        Some(Self { before })
    }

    /// Columns and lines.
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
            _ => (80, 24),
        }
    }

    pub fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let mut frame = "\x1b[H".to_owned();
        for line in lines {
            frame.push_str(line);
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Waits; `true` when somebody wants to leave.
    pub fn wait(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let mut key = [0; 1];
            if self.before.is_none() {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                continue;
            }
            match io::stdin().read(&mut key) {
                Ok(1) if matches!(key, [b'q' | b'Q' | CTRL_C]) => return true,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
        false
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
        let mut out = io::stdout();
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}
