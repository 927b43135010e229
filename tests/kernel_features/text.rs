//! Text as people write it: odd spacing, comments, continuations, includes, other kernels.

use super::Probe;

#[test]
fn unusual_but_legal_text() {
    let header = "// a comment with 'quotes\" and { braces\n/* [[kernel]] void not_me() { */\r\n\
        # include <metal_stdlib>\n#import <metal_math>\n  #  define   LONG(a , b)  \\\r\n   ((a) /* in ) between */ + \\\n  (b))\n\
        using   namespace\tmetal ;\n\
        template<typename T,typename=metal::enable_if_t<metal::is_same_v<T,metal::vec<float,2>>>>inline float flat(T v){return v.x+v.y;}\n\
        inline\nfloat\nodd\n(\nfloat\nv\n)\n{\nreturn\nv\n+\n1\n;\n}\n\
        constant\nfloat\n/* table */ tab [ 2 ]\n= { 1. , .5 } ;\n\
        #define EMPTY\n#define STR(s) #s\n#undef EMPTY\n\
        struct S{float xy;float rgb[2];float xyz()const{return xy+1;}};\n\
        constant int kernel_size = 3; inline int device_of(int thread_id) { return thread_id; }\n";
    let body = "/* device float* out */ uint i=thread_position_in_grid . x;\r\n\
        S s ; s . xy = 2 ; s.rgb[1]=3; float2 f=float2 ( 1 , 2 ) ; f . yx = f ;\n\
        threadgroup\tfloat\n  shared [ 4 ]\n ; shared[i&3]=i;// not a barrier: threadgroup_barrier()\n\
        threadgroup_barrier ( mem_flags :: mem_threadgroup ) ;\n\
        out\n[\ni\n]\n=\nflat(f)+LONG( odd(1) , tab[1] ) + s.xy+s.xyz()+s.rgb[1]+shared[ i & 3 ] - i\\\n + kernel_size + device_of(2);;{}\n\
        if(i>u[5]>>1u)out[i]+=vec<vec<float,4>::value_type,2>(1).x>>0==1?1:0;";
    let body = &body[..body.rfind("if(").unwrap()];
    let got = Probe::new(body).header(header).over(4, 4).run::<f32>(4);
    assert_eq!(got, [3.0 + 2.5 + 2.0 + 3.0 + 3.0 + 5.0; 4]);
}

#[test]
fn kernels_with_attributes_and_functions_of_the_same_words() {
    let header = "
[[max_total_threads_per_threadgroup(256)]] inline float helper(float v [[maybe_unused]]) { return v * 2; }
template <typename U, int N>
[[nodiscard]] inline U nth(const device U* p) { return p[N]; }
struct alignas(16) Block { half d; uchar qs[18]; };
typedef struct __attribute__((packed)) { uchar a; uint b; } Packed;
static_assert(sizeof(Packed) == 5, \"packed\");
static_assert(sizeof(Block) == 32);
inline float set(float v) { return v; } inline float get(float x, float y) { return x - y; }
struct Coords { float x, y; float w; }; 
";
    let body = "
Block blk; blk.qs[17] = 4; Coords c{1, 2, 3}; c.x += 1; Coords* pc = &c; pc->y = 7;
out[0] = helper(2) + nth<float, 3>(x) + blk.qs[17] + set(1) + get(5, 2) + c.x + pc->y + c.w;
uint x_ = 3; float r = 1, g = 2, b_ = 3; float xyz = r + g + b_; out[1] = xyz + x_;
float4 color = float4(r, g, b_, 1); color.rgb *= 2; color.a = 0.5f; out[2] = color.r + color.g + color.b + color.a;
uint3 tid = thread_position_in_grid; uint gid = tid.x, xx = tid.y; out[3] = gid + xx;";
    let got = Probe::new(body).header(header).run::<f32>(4);
    assert_eq!(
        got,
        [
            4.0 + 3.0 + 4.0 + 1.0 + 3.0 + 2.0 + 7.0 + 3.0,
            9.0,
            12.5,
            0.0
        ]
    );
}
