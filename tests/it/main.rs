#![expect(missing_docs, reason = "test crate")]
