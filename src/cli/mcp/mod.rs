//! `conveyor mcp`: the commands as tools, for sessions whose sandbox keeps them from the command line.
//!
//! The tools are made from the arguments of the calls; a call of one becomes the words that the
//! command line would have got, so that both accept and refuse the same.

mod arguments;
mod catalogue;
mod embedded;
mod schema;
mod server;
mod serving;
mod stdio;

use clap::Args;
use rmcp::ServiceExt;

use crate::actors::Caller;
use crate::actors::paths::Paths;
use crate::domain::Failure;

use embedded::Embedded;
use server::Server;
use serving::Serving;
use stdio::Stdio;

/// Offer the commands as MCP tools on standard input and output
///
/// For Codex sessions in a sandbox, which can reach neither the database nor the supervisor by
/// themselves. A session is known by the thread id that Codex sends with each call.
#[derive(Debug, Args)]
pub(super) struct McpArgs {
    /// End every wait after this many seconds; below the client's tool timeout
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    max_wait_seconds: u32,
}

/// Serves one client until it closes standard input.
///
/// # Errors
/// When the server cannot start, or what the client sends first is no MCP.
pub(super) fn run(args: &McpArgs, paths: Paths, caller: Caller) -> Result<u8, Failure> {
    log_to_stderr();
    let failed = |error| Failure::external(format!("failed to start the MCP server: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (embedded, embedded_thread) = Embedded::start(paths.clone()).map_err(failed)?;
    let served = runtime.block_on(async {
        let (stdio, client) = Stdio::open();
        let server = Server::new(caller, Serving::new(paths, embedded), client, args.max_wait_seconds);
        serve(server, stdio).await
    });
    // Ends what still runs, and with it the last user of the embedded runtime, which then finishes
    // the calls it has begun.
    runtime.shutdown_background();
    embedded_thread.join().map_err(|_| Failure::internal("the embedded runtime panicked"))?;
    served.map(|()| 0)
}

async fn serve(server: Server, stdio: Stdio) -> Result<(), Failure> {
    use rmcp::service::ServerInitializeError::ConnectionClosed;

    let service = match server.serve(stdio).await {
        Ok(service) => service,
        // A client that goes before it said anything wanted nothing.
        Err(ConnectionClosed(_)) => return Ok(()),
        Err(error) => {
            return Err(Failure::external(format!("the client does not speak MCP: {error}"))
                .hint("an MCP client starts this command; see `conveyor mcp --help`"));
        }
    };
    service.waiting().await.map_err(|error| Failure::internal(format!("the MCP server ended: {error}")))?;
    Ok(())
}

/// Standard output is the protocol's. `CONVEYOR_LOG` says how much is logged.
fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_env("CONVEYOR_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Only a second initialisation fails, and a process serves once.
    let _ = log.try_init();
}
