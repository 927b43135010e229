// don't "stop
/* { */ # /**/ define A(x) x##1 \
  'c'
#if A(2) / 2
#error it's over
#endif
struct S { float xy; }; namespace n { template<class T>struct Q{}; }
kernel void k(device n::Q<n::Q<float>>* p [[buffer(0)]]) { S s; s.xy %= p->zz.xy /= -(int)*s.xy; while (
