//! Message-bus style RPC over brokerless ZeroMQ sockets.
