//! A client of `conveyor mcp`: JSON-RPC, one message a line.

use super::World;
use super::wait::{PATIENCE, poll};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// A running server and its only client.
pub(crate) struct McpClient {
    server: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// Answers that came before they were asked for.
    early: Vec<Value>,
    last_id: u64,
}

impl McpClient {
    /// Starts `conveyor mcp` with `flags` in the root of `world` and shakes hands.
    pub(crate) fn start(world: &World, flags: &[&str]) -> Self {
        let mut client = Self::start_silent(world, flags);
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        client.request("initialize", hello);
        client.line(r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#);
        client
    }

    /// Starts `conveyor mcp` and says nothing.
    pub(crate) fn start_silent(world: &World, flags: &[&str]) -> Self {
        let mut command = world.command(env!("CARGO_BIN_EXE_conveyor"));
        let piped = command
            .arg("mcp")
            .args(flags)
            .env("CONVEYOR_LOG", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = piped.spawn().unwrap();
        let messages = collect(server.stdout.take().unwrap());
        let input = server.stdin.take();
        Self { server, input, messages, early: Vec::new(), last_id: 0 }
    }

    /// Sends a line as it is.
    pub(crate) fn line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Sends a request. Returns its id.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// Calls a tool without waiting for the answer. Returns the id of the request.
    pub(crate) fn begin(&mut self, tool: &str, arguments: Value) -> u64 {
        self.send("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The whole answer to a request.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        if let Some(index) = self.early.iter().position(|message| message["id"] == id) {
            return self.early.swap_remove(index);
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("an answer in time");
            if message["id"] == id {
                return message;
            }
            self.early.push(message);
        }
    }

    /// The result of a request that succeeds.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let answer = self.answer(id);
        assert!(answer["result"].is_object(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Calls a tool, and returns what it answers: its reply, or its failure.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, Value> {
        let id = self.begin(tool, arguments);
        outcome(&self.answer(id))
    }

    /// Whether every answer that came was asked for.
    pub(crate) fn is_idle(&self) -> bool {
        self.early.is_empty() && self.messages.try_recv().is_err()
    }

    /// Closes standard input, and waits for the server to end.
    pub(crate) fn close(mut self) -> ExitStatus {
        drop(self.input.take());
        poll(PATIENCE, || self.server.try_wait().unwrap()).expect("the server ends")
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        // Those that are to end by themselves are closed.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What a tool answered: its reply, or its failure. Both are in the answer as text.
#[track_caller]
pub(crate) fn outcome(answer: &Value) -> Result<Value, Value> {
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no result: {answer}"));
    let value: Value = serde_json::from_str(text).unwrap();
    // An answer that is no object is text only: older protocols have no place for it.
    if value.is_object() {
        assert_eq!(result["structuredContent"], value);
    }
    if result["isError"] == true { Err(value) } else { Ok(value) }
}

fn collect(output: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let message = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON: {line}: {e}"));
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    receiver
}
