//! What both programs share: lines in, lines out, and how a line writes down a message.
//!
//! A program reads a command a line and answers with a line: `ok ..` if it was done, `no ..` with
//! the reason if the socket refused, `error ..` if the line made no sense. It ends with its input.
//!
//! A message is its frames, with blanks between them:
//!
//! | text | frame |
//! |---|---|
//! | `=` | empty |
//! | `=68656c6c6f` | these bytes, in hex |
//! | `~1000+3` | 1,000 bytes of the pattern, beginning 3 bytes into it |
//! | `5*~10+0` | five such frames, one after the other |
//!
//! The pattern counts from 0 to 250, again and again: 251 is prime, so a piece that was lost,
//! doubled or moved by a buffer's length does not fit any more.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

use anyhow::{Context, Result, bail};

/// Bytes after which the pattern repeats.
const PERIOD: usize = 251;
/// Longer frames are written as a piece of the pattern.
const PLAIN_MAX: usize = 255;
/// Frames of a message that a line may stand for.
const FRAMES_MAX: usize = 1 << 20;

/// What a command led to, if the line was one.
#[derive(Debug)]
pub enum Answer {
    /// It was done.
    Ok(String),
    /// The socket refused, for this reason.
    No(String),
}

impl Answer {
    /// Done, and there is nothing to say.
    pub fn done() -> Self {
        Answer::Ok(String::new())
    }
}

/// Answers every line of the standard input until it ends.
///
/// # Errors
///
/// If the standard streams fail.
pub fn serve(mut command: impl FnMut(&str, &mut Words<'_>) -> Result<Answer>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = Words(line.split_whitespace());
        let answer = match words.next("a command") {
            Ok(name) => command(name, &mut words),
            Err(error) => Err(error),
        };
        match answer {
            Ok(Answer::Ok(text)) => writeln!(out, "ok {text}")?,
            Ok(Answer::No(text)) => writeln!(out, "no {text}")?,
            Err(error) => writeln!(out, "error {error:#}")?,
        }
        out.flush()?;
    }
    Ok(())
}

/// The words of a line that have not been read yet.
#[derive(Debug)]
pub struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    /// The next word.
    ///
    /// # Errors
    ///
    /// If the line has ended.
    pub fn next(&mut self, what: &str) -> Result<&'a str> {
        self.0
            .next()
            .with_context(|| format!("the line ends before {what}"))
    }

    /// The next word, as a number.
    ///
    /// # Errors
    ///
    /// If the line has ended or the word is none.
    pub fn number(&mut self, what: &str) -> Result<u64> {
        let word = self.next(what)?;
        word.parse()
            .with_context(|| format!("{what} is {word:?}, not a number"))
    }

    /// The next word, as a time in milliseconds.
    ///
    /// # Errors
    ///
    /// As [`number`](Self::number).
    pub fn time(&mut self) -> Result<std::time::Duration> {
        self.number("a time").map(std::time::Duration::from_millis)
    }

    /// The other words, as `name=value`.
    ///
    /// # Errors
    ///
    /// If one is something else.
    pub fn settings(&mut self) -> Result<Vec<(&'a str, &'a str)>> {
        let pair = |word: &'a str| word.split_once('=').with_context(|| word.to_owned());
        self.0.by_ref().map(pair).collect()
    }

    /// The other words, as the frames of a message.
    ///
    /// # Errors
    ///
    /// If there is none or one is no frame.
    pub fn frames(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        for word in self.0.by_ref() {
            let (count, text) = match word.split_once('*') {
                Some((count, text)) => (count.parse().context("the count of frames")?, text),
                None => (1, word),
            };
            if frames.len() + count > FRAMES_MAX {
                bail!("more than {FRAMES_MAX} frames");
            }
            let frame = frame(text).with_context(|| format!("{text:?} is no frame"))?;
            frames.extend(std::iter::repeat_n(frame, count));
        }
        if frames.is_empty() {
            bail!("a message without frames");
        }
        Ok(frames)
    }
}

/// The frame that a word stands for.
///
/// # Errors
///
/// If it stands for none.
pub fn frame(text: &str) -> Result<Vec<u8>> {
    if let Some(hex) = text.strip_prefix('=') {
        if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
            bail!("hex comes in pairs");
        }
        let pairs = (0..hex.len()).step_by(2);
        let bytes = pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        return Ok(bytes.collect::<Result<_, _>>()?);
    }
    let piece = text.strip_prefix('~').and_then(|s| s.split_once('+'));
    let (size, shift) = piece.context("neither hex nor a piece of the pattern")?;
    Ok(pattern(size.parse()?, shift.parse()?))
}

/// `size` bytes of the pattern, beginning `shift` bytes into it.
pub fn pattern(size: usize, shift: usize) -> Vec<u8> {
    let period = one_period(shift);
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        bytes.extend_from_slice(&period[..PERIOD.min(size - bytes.len())]);
    }
    bytes
}

fn one_period(shift: usize) -> [u8; PERIOD] {
    std::array::from_fn(|at| ((at + shift) % PERIOD) as u8)
}

/// Writes frames down. A long one that is no piece of the pattern shows where it ceases to be one.
pub fn show<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for frame in frames {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = show_frame(&mut text, frame);
    }
    text
}

fn show_frame(text: &mut String, frame: &[u8]) -> std::fmt::Result {
    if frame.len() <= PLAIN_MAX {
        text.push('=');
        return frame.iter().try_for_each(|byte| write!(text, "{byte:02x}"));
    }
    let shift = frame[0] as usize;
    let period = one_period(shift);
    let odd = frame.chunks(PERIOD).position(|c| c != &period[..c.len()]);
    match odd {
        None => write!(text, "~{}+{shift}", frame.len()),
        Some(chunk) => write!(text, "?{}@{}", frame.len(), chunk * PERIOD),
    }
}
