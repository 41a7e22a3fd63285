package main

import (
	"context"
	"flag"
	"net"
	"net/netip"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const domain = ".svc.cluster.local."

// Seconds that an answer may be kept; tests see a change at once.
const ttl = 1

type directory struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

// dns --kubeconfig=FILE --listen=ADDRESS: answers for NAME.NAMESPACE.svc.cluster.local, over UDP; there is no other name.
func dns(args []string) {
	flags := flag.NewFlagSet("dns", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "the cluster and its user")
	listen := flags.String("listen", "127.0.0.1:0", "address and port")
	_ = flags.Parse(args[1:])
	client := kubernetes.NewForConfigOrDie(must(clientcmd.BuildConfigFromFlags("", *kubeconfig)))
	factory := informers.NewSharedInformerFactory(client, 0)
	known := directory{factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister()}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	connection := must(net.ListenPacket("udp", *listen))
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go func() {
		<-ctx.Done()
		_ = connection.SetDeadline(time.Now())
	}()
	for buffer := make([]byte, 4096); ; {
		count, from, err := connection.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := known.reply(buffer[:count]); reply != nil {
			_, _ = connection.WriteTo(reply, from)
		}
	}
}

// reply is nil for what is no question.
func (known directory) reply(packet []byte) []byte {
	var message dnsmessage.Message
	if message.Unpack(packet) != nil || message.Response || len(message.Questions) != 1 {
		return nil
	}
	question := message.Questions[0]
	addresses, found := known.lookUp(strings.ToLower(question.Name.String()))
	answer := dnsmessage.Message{Questions: message.Questions}
	answer.Header = dnsmessage.Header{ID: message.ID, Response: true, Authoritative: true, RecursionDesired: message.RecursionDesired}
	if !found {
		answer.RCode = dnsmessage.RCodeNameError
	}
	if question.Type == dnsmessage.TypeA {
		for _, address := range addresses {
			header := dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: ttl}
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address}})
		}
	}
	packed, err := answer.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// lookUp knows services by their address, and those without one by the addresses of their ready pods: all, or one by its host name.
func (known directory) lookUp(name string) (addresses [][4]byte, found bool) {
	parts := strings.Split(strings.TrimSuffix(name, domain), ".")
	if !strings.HasSuffix(name, domain) || len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	host, service, namespace := "", parts[len(parts)-2], parts[len(parts)-1]
	if len(parts) == 3 {
		host = parts[0]
	}
	object, err := known.services.Services(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	if object.Spec.ClusterIP != corev1.ClusterIPNone {
		return appendAddress(nil, object.Spec.ClusterIP), host == ""
	}
	ofService := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service})
	slices, _ := known.slices.EndpointSlices(namespace).List(ofService)
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if ready := endpoint.Conditions.Ready; ready != nil && !*ready && !object.Spec.PublishNotReadyAddresses {
				continue
			}
			if host == "" || endpoint.Hostname != nil && *endpoint.Hostname == host {
				for _, address := range endpoint.Addresses {
					addresses = appendAddress(addresses, address)
				}
			}
		}
	}
	return addresses, host == "" || len(addresses) > 0
}

func appendAddress(to [][4]byte, text string) [][4]byte {
	if address, err := netip.ParseAddr(text); err == nil && address.Is4() {
		return append(to, address.As4())
	}
	return to
}
