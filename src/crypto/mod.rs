//! Mechanism: keyring, sealing, password hashing, tokens, TOTP. No I/O, no policy.
