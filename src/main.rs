//! The `conveyor` program.

fn main() -> std::process::ExitCode {
    conveyor::cli::main()
}
