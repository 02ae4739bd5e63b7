"""What the cases are made with: programs and sockets to talk to, raw peers, a tap, a runner."""
