/* Stands in for NVIDIA's driver where there is none, so that programs which cargo runs start and can say so.
   It has what MLX's CUDA build links to; all of it answers that there is no device. */
#define NO_DEVICE 100
#define F(name) int name(void) { return NO_DEVICE; }
F(cuInit) F(cuDriverGetVersion) F(cuFuncSetAttribute) F(cuGraphAddKernelNode_v2) F(cuGraphCreate)
F(cuGraphGetNodes) F(cuGraphKernelNodeSetAttribute) F(cuLaunchKernelEx) F(cuModuleGetFunction)
F(cuModuleLoadDataEx) F(cuModuleUnload) F(cuOccupancyMaxPotentialBlockSize) F(cuTensorMapEncodeTiled)

int cuGetErrorString(int error, const char** words) {
  (void)error;
  *words = "there is no NVIDIA driver on this machine";
  return 0;
}
