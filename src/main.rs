//! The `echopilot` program: parse the command line, run it, print what went wrong once.

fn main() -> std::process::ExitCode {
    echopilot::cli::main()
}
