"""The river: batch transport, tasks with exactly-once transactions, and the stages intake, detect, regional, dispatch,
feedback and archive. Read `streams.stage` for the contract, `streams.task` for what happens to a batch."""
