//! What the server answers.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, RequestMetaObject, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use super::catalogue::{Catalogue, Offer};
use super::serving::Serving;
use super::stdio::Client;
use crate::actors::Caller;
use crate::actors::wire::VERSION;
use crate::domain::Failure;

/// Where Codex says in which thread a tool was called.
const THREAD_ID: &str = "threadId";

const INSTRUCTIONS: &str = "conveyor lets one coding session, the manager, supervise another, the worker. \
    The tools are its commands; each answers with the command's JSON. \
    A wait that found nothing answers with wait.timed_out: call it again.";

/// Serves the tools to one client.
pub(super) struct Server {
    catalogue: Catalogue,
    caller: Caller,
    serving: Serving,
    client: Client,
    max_wait_seconds: u32,
}

impl Server {
    /// A server whose calls are made in the name of `caller`, or of the thread they come from.
    pub(super) fn new(caller: Caller, serving: Serving, client: Client, max_wait_seconds: u32) -> Self {
        Self { catalogue: Catalogue::new(), caller, serving, client, max_wait_seconds }
    }

    async fn call(
        &self,
        offer: &Offer,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value, Failure> {
        let request = offer.request(arguments, self.max_wait_seconds)?;
        let waits = request.waits();
        tokio::select! {
            reply = self.serving.serve(request, self.caller_of(&context.meta)) => reply,
            () = context.ct.cancelled() => Err(abandoned()),
            () = self.client.gone(), if waits => Err(abandoned()),
        }
    }

    fn caller_of(&self, meta: &RequestMetaObject) -> Caller {
        let thread_id = meta.get(THREAD_ID).and_then(Value::as_str).map(str::to_owned);
        Caller { thread_id: thread_id.or_else(|| self.caller.thread_id.clone()), ..self.caller.clone() }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("conveyor", VERSION))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.catalogue.list()))
    }

    /// Only a tool that does not exist is an error of the protocol; the model reads everything else.
    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let offer = self.catalogue.find(&params.name).map_err(|failure| {
            ErrorData::invalid_params(failure.message.clone(), Some(json!({"hints": failure.hints})))
        })?;
        let result = match self.call(offer, params.arguments.unwrap_or_default(), &context).await {
            Ok(reply) => CallToolResult::structured(reply),
            Err(failure) => CallToolResult::structured_error(json!(failure)),
        };
        Ok(result.into())
    }
}

/// Nobody reads this: the client cancelled the call, or has gone.
fn abandoned() -> Failure {
    Failure::unknown("the call was abandoned; what it had begun goes on")
}
