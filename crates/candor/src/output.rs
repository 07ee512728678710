//! What goes to the terminal. A reader that closed the pipe (`candor metrics | head`) is no error.

use std::io::{self, Write as _};

/// Writes `text` to standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says on standard error what went wrong, in one line that names the program.
pub(crate) fn complain(what: &str) {
    // Nothing is left to tell it to where standard error is gone too.
    let _ = writeln!(io::stderr().lock(), "candor: {what}");
}
