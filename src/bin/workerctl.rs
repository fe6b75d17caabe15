//! `workerctl`: the `conveyor` program under the name older scripts call it by.

fn main() -> std::process::ExitCode {
    conveyor::cli::main()
}
