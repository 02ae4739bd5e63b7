//! A terminal for a program, and what it shows there.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Everything that was shown, with what moves the cursor.
pub(crate) struct Screen {
    news: Receiver<String>,
    shown: String,
}

/// A terminal of 40 lines of 120 characters: its end for a program, and its screen.
pub(crate) fn terminal() -> (Stdio, Screen) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let name = OsStr::from_bytes(name.to_bytes());
    let end = File::options().read(true).write(true).open(name);
    let end = end.expect("its other end");
    let size = Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&end, size).expect("a size");
    let (to_us, news) = mpsc::channel();
    thread::spawn(move || {
        let mut master = File::from(master);
        let mut bytes = [0; 4096];
        // It ends with an error once nobody has the terminal any more.
        while let Ok(read @ 1..) = master.read(&mut bytes) {
            let _ = to_us.send(String::from_utf8_lossy(&bytes[..read]).into_owned());
        }
    });
    let shown = String::new();
    (Stdio::from(end), Screen { news, shown })
}

impl Screen {
    /// Waits until a line is shown of which something can be said.
    #[track_caller]
    pub(crate) fn until<T>(
        &mut self,
        patience: Duration,
        what: &str,
        said: impl Fn(&str) -> Option<T>,
    ) -> T {
        loop {
            let found = self.shown.split(['\r', '\n']).find_map(&said);
            if let Some(found) = found {
                return found;
            }
            match self.news.recv_timeout(patience) {
                Ok(more) => self.shown += &more,
                Err(error) => panic!("no {what}, {error}: {:?}", self.shown),
            }
        }
    }
}
