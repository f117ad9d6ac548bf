// An echo server on libuv. It answers with uv_try_write, which spares the request, the queue and
// the callback of uv_write, and falls back on uv_write for what the socket does not take at once.

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "uv.h"

namespace tenon::bench {
namespace {

constexpr int kBacklog = 4096;

struct Connection {
  uv_tcp_t socket;
  uv_write_t write;
  std::array<char, kEchoBufferSize> buffer;
};

absl::Status UvStatus(int error, const char* what) {
  if (error == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(what, ": ", uv_strerror(error)));
}

void OnClosed(uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); }

void CloseConnection(Connection* connection) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&connection->socket);
  if (!uv_is_closing(handle)) uv_close(handle, &OnClosed);
}

void OnBufferWanted(uv_handle_t* handle, size_t /*suggested_size*/, uv_buf_t* buffer) {
  auto* connection = static_cast<Connection*>(handle->data);
  *buffer = uv_buf_init(connection->buffer.data(), kEchoBufferSize);
}

void OnRead(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer);

void OnWritten(uv_write_t* write, int error) {
  auto* connection = static_cast<Connection*>(write->data);
  if (error != 0 || uv_read_start(write->handle, &OnBufferWanted, &OnRead) != 0) {
    CloseConnection(connection);
  }
}

void OnRead(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  auto* connection = static_cast<Connection*>(stream->data);
  if (count == 0) return;  // Nothing there after all.
  if (count < 0) return CloseConnection(connection);
  uv_buf_t rest = uv_buf_init(buffer->base, static_cast<unsigned>(count));
  const int written = uv_try_write(stream, &rest, 1);
  if (written == count) return;
  if (written < 0 && written != UV_EAGAIN) return CloseConnection(connection);
  if (written > 0) {
    rest.base += written;
    rest.len -= static_cast<size_t>(written);
  }
  // The buffer is being written from: nothing may be read into it.
  uv_read_stop(stream);
  if (uv_write(&connection->write, stream, &rest, 1, &OnWritten) != 0) CloseConnection(connection);
}

void OnConnection(uv_stream_t* listener, int error) {
  if (error != 0) return;
  auto connection = std::unique_ptr<Connection>(new Connection);
  if (uv_tcp_init(listener->loop, &connection->socket) != 0) return;
  connection->socket.data = connection.get();
  connection->write.data = connection.get();
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection->socket);
  Connection* owned_by_loop = connection.release();
  if (uv_accept(listener, stream) != 0 || uv_tcp_nodelay(&owned_by_loop->socket, 1) != 0 ||
      uv_read_start(stream, &OnBufferWanted, &OnRead) != 0) {
    CloseConnection(owned_by_loop);
  }
}

}  // namespace

absl::Status ServeLibuv(int listen_fd) {
  uv_loop_t loop;
  absl::Status status = UvStatus(uv_loop_init(&loop), "uv_loop_init");
  if (!status.ok()) return status;
  uv_tcp_t listener;
  status = UvStatus(uv_tcp_init(&loop, &listener), "uv_tcp_init");
  if (status.ok()) status = UvStatus(uv_tcp_open(&listener, listen_fd), "uv_tcp_open");
  if (status.ok()) {
    auto* stream = reinterpret_cast<uv_stream_t*>(&listener);
    status = UvStatus(uv_listen(stream, kBacklog, &OnConnection), "uv_listen");
  }
  if (!status.ok()) return status;
  uv_run(&loop, UV_RUN_DEFAULT);
  return absl::InternalError("uv_run returned although it is listening");
}

}  // namespace tenon::bench
