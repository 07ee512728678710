//! A client that leaves.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::engine::TOKEN;
use crate::random::Random;
use crate::stage::post;
use crate::stopwatch::now;
use crate::wire::{Message, Role};

/// Longest wait for what the client leaves after.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many prompts there are: a gateway with a tokenizer remembers prompts, within bounds that a bench need not fill.
const PROMPTS: u64 = 1_000;

/// What a client leaves after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Its request has been sent.
    Sent,
    /// The head of its answer has come.
    Head,
    /// At least one token has come, and at most so many.
    Tokens(u64),
    /// All has come.
    Whole,
}

/// A kind of client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// What it asks of the engine: see `engine::order`.
    pub(super) order: &'static str,
    pub(super) tokens: u32,
    pub(super) when: When,
    /// The shortest and the longest that it then stays, ms.
    pub(super) stays: (u64, u64),
}

impl Client {
    /// Sends the request that the engine knows as number `watch`, and leaves; returns when that was.
    ///
    /// # Errors
    /// What it was to leave after never came.
    pub(super) fn run(&self, front: SocketAddr, watch: u64, random: &mut Random) -> io::Result<u64> {
        let mut socket = TcpStream::connect(front)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(&self.request(front, watch))?;
        self.wait(&mut socket, random)?;
        let (least, most) = self.stays;
        let micros = 1_000 * least + random.below(1_000 * (most - least) + 1);
        std::thread::sleep(Duration::from_micros(micros));
        let left = now();
        drop(socket);
        Ok(left)
    }

    fn request(&self, front: SocketAddr, watch: u64) -> Vec<u8> {
        let Self { order, tokens, .. } = self;
        let prompt = watch % PROMPTS;
        let body = format!(
            r#"{{"model":"bench","messages":[{{"role":"user","content":"{prompt}: stay a while."}}],"max_tokens":{tokens},"stream":true,"user":"{order};watch={watch}"}}"#
        );
        post(front, "/v1/chat/completions", &format!("bench-leaver-{watch}"), &body)
    }

    fn wait(&self, socket: &mut TcpStream, random: &mut Random) -> io::Result<()> {
        let wanted = match self.when {
            When::Tokens(most) => 1 + random.below(most) as usize,
            When::Sent | When::Head | When::Whole => 0,
        };
        let mut answer = Message::new(Role::Response);
        let mut buffer = [0; 16 * 1024];
        while !self.has_come(&answer, wanted) {
            match socket.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => answer.feed(&buffer[..count]).map_err(io::Error::other)?,
            };
        }
        match answer.status() {
            None | Some(200) => Ok(()),
            Some(status) => Err(io::Error::other(format!("status {status}"))),
        }
    }

    fn has_come(&self, answer: &Message, wanted: usize) -> bool {
        match self.when {
            When::Sent => true,
            When::Head => answer.status().is_some(),
            When::Tokens(_) => memchr::memmem::find_iter(answer.body(), TOKEN).count() >= wanted,
            When::Whole => answer.is_done(),
        }
    }
}
