//! How much: what a request may cost, before the parser, before execution, and over time.
