// Address spaces beside those of pointers: references that know theirs, and tags for the objects of member
// functions. The lowering uses them where overloads differ in nothing else.
#pragma once

namespace zmlx {
// As with pointers, a reference to T is one to const T.
template <class T, class S> struct ref;
template <class T, class S> struct ref<const T, S> {
  const T* p;
  ZMLX_INLINE constexpr explicit ref(const T* p) : p(p) {}
  ZMLX_INLINE constexpr operator const T&() const { return *p; }
};
template <class T, class S> struct ref : ref<const T, S> {
  T* p;
  ZMLX_INLINE constexpr explicit ref(T* p) : ref<const T, S>(p), p(p) {}
  ZMLX_INLINE constexpr operator T&() const { return *p; }
};
template <class S> struct tag {};
struct any_tag {
  template <class S> ZMLX_INLINE constexpr any_tag(tag<S>) {}
};
}  // namespace zmlx

template <class T> using zmlx_device_ref = zmlx::ref<T, zmlx::device_space>;
template <class T> using zmlx_constant_ref = zmlx::ref<const T, zmlx::constant_space>;
template <class T> using zmlx_threadgroup_ref = zmlx::ref<T, zmlx::threadgroup_space>;

// An argument that begins with a variable of type R: a reference into R's space, if it has one.
template <class R, class T> ZMLX_INLINE constexpr decltype(auto) zmlx_lv(T&& x) {
  typedef remove_reference_t<T> V;
  if constexpr (metal::is_array_v<remove_cv_t<V>> && !is_void_v<zmlx::space_of<R>>) return zmlx_addr_of<R>(x[0]);
  else if constexpr (is_void_v<zmlx::space_of<R>> || !metal::is_reference_v<T> || is_pointer_v<remove_cv_t<V>>) return static_cast<T&&>(x);
  else return zmlx::ref<V, zmlx::space_of<R>>(&x);
}
template <class R> ZMLX_INLINE constexpr zmlx::tag<zmlx::space_of<R>> zmlx_tag() { return {}; }
