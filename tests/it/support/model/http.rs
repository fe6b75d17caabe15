//! As much HTTP/1.1 as Codex needs: one request per connection, a JSON or an event-stream reply.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The server's end of a connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Reads the request: its path and its body, whose length the headers must give.
    pub(super) fn read_request(&mut self) -> io::Result<(String, Vec<u8>)> {
        let request_line = self.line()?;
        let path = request_line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((path, body))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Sends a whole JSON reply.
    pub(super) fn reply(&mut self, status: u16, body: &Value) -> io::Result<()> {
        let body = body.to_string();
        let length = body.len();
        self.send(&format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        ))
    }

    /// Begins an event stream, which ends with the connection.
    pub(super) fn open_events(&mut self) -> io::Result<()> {
        self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    }

    /// Sends one event; `data` gets its `type`.
    pub(super) fn event(&mut self, kind: &str, mut data: Value) -> io::Result<()> {
        data["type"] = json!(kind);
        self.send(&format!("event: {kind}\ndata: {data}\n\n"))
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())
    }

    /// Waits; fails when the client closes the connection meanwhile.
    pub(super) fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(time))?;
        match self.wait_until_closed() {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.stream.get_ref().set_read_timeout(None)
            }
            Err(error) => Err(error),
            Ok(()) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Returns when the client closes the connection.
    pub(super) fn wait_until_closed(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }
}
