// One program with everything that a test cluster is made of: etcd, the Kubernetes control plane, kubelet, kube-proxy, kubectl, and a
// maker of certificates. The first argument (or the name that the program is called by) chooses.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              func() *cobra.Command { return proxy.NewProxyCommand() },
	"kubectl":                 func() *cobra.Command { return kubectl.NewDefaultKubectlCommand() },
}

// What reads its arguments itself.
var programs = map[string]func(args []string){
	"etcd":         etcdmain.Main,
	"certificates": certificates,
	"dns":          dns,
}

func main() {
	args := os.Args
	name := filepath.Base(args[0])
	if !known(name) && len(args) > 1 {
		name, args = args[1], args[1:]
	}
	if program, ok := programs[name]; ok {
		program(args)
		return
	}
	command, ok := commands[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: kube PROGRAM [flags]; programs:", strings.Join(names(), ", "))
		os.Exit(2)
	}
	os.Args = args
	os.Exit(cli.Run(command()))
}

func known(name string) bool {
	return slices.Contains(names(), name)
}

func names() []string {
	all := []string{}
	for name := range commands {
		all = append(all, name)
	}
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
