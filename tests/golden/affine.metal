// strided: (x_in, w_in, b_in, zk_dims) -> (y_out)
typedef float T;
const uint zk_tid = thread_position_in_threadgroup.x;
const size_t zk_item = size_t(threadgroup_position_in_grid.y) * (threadgroups_per_grid.x) + threadgroup_position_in_grid.x;
if (zk_item >= size_t(zk_dims[0] * zk_dims[2])) return;
const uint zk_n = uint(zk_dims[1]);
const uint row = uint(zk_item / size_t(zk_dims[2]));
const size_t zk_part = zk_item % size_t(zk_dims[2]);
const uint zk_first = uint(zk_part * size_t(zk_dims[3]));
const uint zk_last = metal::min(zk_n, zk_first + uint(zk_dims[3]));
size_t zk_at_w = 0;
uint zk_rest = row;
const int zk_lead = int(zk_dims[4]);
for (int zk_d = zk_lead - 1; zk_d >= 0; --zk_d) {
  const uint zk_size = uint(zk_dims[5 + zk_d]);
  const uint zk_at = zk_rest % zk_size;
  zk_rest /= zk_size;
  zk_at_w += size_t(zk_at) * size_t(zk_dims[5 + 1 * zk_lead + zk_d]);
}
const auto x_row = x_in + size_t(row) * zk_n;
const auto w_row = w_in + zk_at_w;
const T b = T(b_in);
const auto y_to = y_out + size_t(row) * zk_n;
for (uint j = zk_first + zk_tid; j < zk_last; j += TG) {
  const T x = T(x_row[j]);
  const T w = T(w_row[j]);
  y_to[j] = static_cast<O0>(x * w + b);
}

