//! Sans-I/O machines of the clients.
