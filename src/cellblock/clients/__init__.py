"""The parts of `cellblock.client`: results, messages, and the two ways to send them, waiting and awaiting."""
