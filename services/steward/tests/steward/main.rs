//! Plan and apply over the broker and the registry in memory: what a second apply does, what a crash at any
//! step leaves, what two stewards at once do to each other, and who is told what about a change.

mod adoption;
mod crashes;
mod dying;
mod evolution;
mod plans;
mod together;
mod world;
