"""One call from request to outcome, and a decision turned into channel variables. Holds no socket."""
