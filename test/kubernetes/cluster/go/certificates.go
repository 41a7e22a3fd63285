package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A test cluster lives for hours; whoever keeps one for a month starts it again.
const lifetime = 30 * 24 * time.Hour

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// certificates FOLDER ADDRESS...: the cluster's authority, the API server's certificate for these addresses, its client certificates
// towards kubelets and aggregated API servers, and the key pair of service accounts.
func certificates(args []string) {
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: kube certificates FOLDER ADDRESS...")
		os.Exit(2)
	}
	folder := args[1]
	cluster := newAuthority(folder, "ca", "purser-test-cluster")
	server := template("kube-apiserver", x509.ExtKeyUsageServerAuth)
	for _, address := range args[2:] {
		if ip := net.ParseIP(address); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, address)
		}
	}
	cluster.issue(folder, "apiserver", server)
	towardsKubelets := template("kube-apiserver-kubelet-client", x509.ExtKeyUsageClientAuth)
	towardsKubelets.Subject.Organization = []string{"system:masters"}
	cluster.issue(folder, "kubelet-client", towardsKubelets)
	frontProxy := newAuthority(folder, "front-proxy-ca", "purser-test-front-proxy")
	frontProxy.issue(folder, "front-proxy-client", template("front-proxy-client", x509.ExtKeyUsageClientAuth))
	accounts := newKey()
	writeKey(folder, "service-account", accounts)
	public := must(x509.MarshalPKIXPublicKey(accounts.Public()))
	write(folder, "service-account.pub", "PUBLIC KEY", public, 0o644)
}

func template(name string, usage ...x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usage,
	}
}

func newAuthority(folder, file, name string) authority {
	key := newKey()
	self := template(name)
	self.IsCA, self.BasicConstraintsValid = true, true
	self.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der := must(x509.CreateCertificate(rand.Reader, self, self, key.Public(), key))
	writeKey(folder, file, key)
	write(folder, file+".crt", "CERTIFICATE", der, 0o644)
	return authority{must(x509.ParseCertificate(der)), key}
}

func (issuer authority) issue(folder, file string, wanted *x509.Certificate) {
	key := newKey()
	der := must(x509.CreateCertificate(rand.Reader, wanted, issuer.certificate, key.Public(), issuer.key))
	writeKey(folder, file, key)
	write(folder, file+".crt", "CERTIFICATE", der, 0o644)
}

func newKey() *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func writeKey(folder, file string, key *ecdsa.PrivateKey) {
	write(folder, file+".key", "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)), 0o600)
}

func write(folder, file, kind string, der []byte, mode os.FileMode) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(folder, file), text, mode); err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
