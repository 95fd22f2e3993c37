"""Pure models: one contract, one model a file, which model serves which sector. Knows columns, no broker and no clock."""
